"""Bytes cut anywhere give the same events, as the standard has them and as soon as they are whole."""
import json
import random
import re
import tracemalloc

import pytest

from gemini_lite.transport import sse

BOM = b"\xef\xbb\xbf"
LF, CR, CRLF = b"\n", b"\r", b"\r\n"


def read(*blocks, **limit):
    """The events in `blocks`: each its data, and whether its blank line came."""
    return [(bytes(data), not isinstance(data, sse.Unterminated)) for data in sse.events(blocks, **limit)
            if not isinstance(data, sse.BareText)]


def cuttings(stream):
    """`stream` cut in two at each position, with an empty block between, and into single bytes."""
    for position in range(len(stream) + 1):
        yield [stream[:position], b"", stream[position:]]
    yield [stream[index:index + 1] for index in range(len(stream))]


def whole(*events):
    return [(data, True) for data in events]


@pytest.mark.parametrize("stream, events", [
    (b"data: a\n\ndata: b\n\n", whole(b"a", b"b")),
    (b"data:a\n\n", whole(b"a")),
    (b"data:  a \n\n", whole(b" a ")),
    (b"data: a\ndata:b\ndata:  c\n\n", whole(b"a\nb\n c")),
    (b"data: a\ndata\ndata:\ndata: b\n\n", whole(b"a\n\n\nb")),
    (b"\n\n\ndata: a\n\n\n\n", whole(b"a")),
    (b": hello\ndata: a\n:\ndata: b\n\n", whole(b"a\nb")),
    (b"event: x\nid: 1\nretry: 5\ndata: a\nid\nunknown: y\n\n", whole(b"a")),
    (b"event: x\nid: 1\n\n: ping\n\n", []),
    (b"database: a\nDATA: b\n data: c\ndatas\n\n", []),
    (b"data: a:b: c\n\n", whole(b"a:b: c")),
    (b"data\n\ndata:\n\ndata: \n\n", []),
    (b"", []),
    (BOM, []),
    (BOM + b"data: a\n\n", whole(b"a")),
    (BOM + b"\ndata: a\n\n", whole(b"a")),
    (BOM + BOM + b"data: a\n\n", []),
    (b"data: a\n\n" + BOM + b"data: b\n\n", whole(b"a")),
    (b"data: " + BOM + b"a\n\n", whole(BOM + b"a")),
    ("data: é\u2028ü\u2029ö\u0085ß\v\f\x1c\x1e\U0001f600\n\n".encode(),
     whole("é\u2028ü\u2029ö\u0085ß\v\f\x1c\x1e\U0001f600".encode())),
    (b"data: a\n\ndata: b", whole(b"a") + [(b"b", False)]),
    (b"data: a\n\ndata: b\n", whole(b"a") + [(b"b", False)]),
    (b"data: b\ndata: c", [(b"b\nc", False)]),
    (BOM + b"data: b", [(b"b", False)]),
    (b"data: a\n\n: bye", whole(b"a")),
    (b"data: a\n\ndata:\n", whole(b"a")),
    (b"data: [DONE]\n\n", whole(b"[DONE]")),
])
@pytest.mark.parametrize("end", [LF, CR, CRLF], ids=["LF", "CR", "CRLF"])
def test_every_cut_gives_the_same_events(stream, events, end):
    for blocks in cuttings(stream.replace(LF, end)):
        assert read(*blocks) == events


@pytest.mark.parametrize("stream, events", [
    (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r", whole(b"a", b"b", b"c", b"d")),
    (b"data: a\rdata: b\ndata: c\r\n\r\n\r\n", whole(b"a\nb\nc")),
    (b"data: a\r\n\n\r", whole(b"a")),
    (b"\r\ndata: a\r\r", whole(b"a")),
])
def test_line_ends_may_be_mixed(stream, events):
    for blocks in cuttings(stream):
        assert read(*blocks) == events


def test_a_line_feed_belongs_to_the_carriage_return_before_it_and_to_no_other():
    assert read(b"data: a\r", b"\ndata: b\r", b"", b"\n\r\n") == whole(b"a\nb")
    assert read(b"data: a\r", b"x\n", b"\ndata: b\n", b"\n") == whole(b"a", b"b")


# In time

@pytest.mark.parametrize("blank", [LF + LF, CRLF + CRLF, CR + CR, CRLF + CR, LF + CR, CR + CRLF, LF + CRLF])
def test_an_event_is_delivered_before_the_next_block_is_asked_for(blank):
    asked = []

    def blocks():
        for number in range(3):
            asked.append(number)
            yield b"data: %d%b" % (number, blank)

    for number, data in enumerate(sse.events(blocks())):
        assert data == b"%d" % number
        assert asked == list(range(number + 1))


def test_a_carriage_return_ends_a_line_at_once():
    blocks = iter([b"data: a\r\n\r", b"\n", b"data: b\r", b"\r"])
    events = sse.events(blocks)
    assert next(events) == b"a"
    assert next(blocks) == b"\n"
    assert next(events) == b"b"


# Against a decoder that cannot be wrong

def slow_decoder(stream):
    """The standard, word for word, on all bytes at once."""
    stream = stream[len(BOM):] if stream.startswith(BOM) else stream
    *lines, last = re.split(rb"\r\n|\r|\n", stream)
    events, data = [], []
    for line in lines + [last] * bool(last):
        if not line:
            if any(data) or len(data) > 1:
                events.append((b"\n".join(data), True))
            data = []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
    rest = b"\n".join(data)
    return events + [(rest, False)] * bool(rest)


PIECES = [LF, LF, CR, CRLF, b"data:", b"data: ", b"data", b":", b" ", b"{}", b"id: 1", b"event:", BOM, b"d", b"ata: x",
          "\u2028".encode(), "\u0085é".encode(), b"\x00\xff"]


@pytest.mark.parametrize("seed", range(4))
def test_random_streams_cut_at_random_give_what_the_slow_decoder_gives(seed):
    rng = random.Random(seed)
    for _ in range(1500):
        stream = b"".join(rng.choices(PIECES, k=rng.randrange(30)))
        cuts = sorted(rng.choices(range(len(stream) + 1), k=rng.randrange(8)))
        blocks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)])]
        assert read(*blocks) == slow_decoder(stream), blocks


# Errors outside of events

ERROR = b'{"error": {"code": 503, "message": "a } b [ \\" {"}}'
LINES = b'{\n  "error": {\n    "code": 503,\n    "message": "a } b [ \\" {"\n  }\n}'
ERRORS = [ERROR, LINES, b"[" + ERROR + b"]", b"[" + LINES + b"\n]\n", b"  " + ERROR, b"[\n  " + LINES + b"\n]"]


def bare_errors(*blocks):
    """The errors outside of events in `blocks`, and the events."""
    found = list(sse.events(blocks))
    return ([data for data in found if isinstance(data, sse.BareText)],
            [data for data in found if not isinstance(data, sse.BareText)])


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("end", [b"", CRLF + CRLF])
@pytest.mark.parametrize("before, events", [
    (b"", []), (BOM, []), (b": ping\n\n", []), (b"data: {}\n\n", [b"{}"]), (b"data: {}\n", [b"{}"]),
    (b"data: {}\n: ping\n\n", [b"{}"]), (b'data: {"cut\n', []),
], ids=repr)
def test_an_error_without_data_is_found_at_every_cut(before, events, error, end):
    for blocks in cuttings(before + error + end):
        errors, others = bare_errors(*blocks)
        assert [b"503" in data for data in errors] == [True] and others == events


def test_blank_lines_in_an_error_without_data_are_white_space():
    assert len(bare_errors(b"data: 1\n\n" + LINES.replace(LF, CRLF + LF))[0]) == 1


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_without_data_is_found_between_events(error):
    stream = b"data: 1\n\n" + error + b"\n\ndata: 2\n\n"
    for blocks in cuttings(stream):
        errors, others = bare_errors(*blocks)
        assert len(errors) == 1 and others == [b"1", b"2"]


def test_an_error_without_data_comes_out_with_its_last_bracket():
    def blocks():
        yield LINES + LF
        raise AssertionError("asked for more")

    assert isinstance(next(sse.events(blocks())), sse.BareText)


@pytest.mark.parametrize("line", [
    b"{}", b'{"a": 1}', b"[1, 2]", b'{"error": null}', b"{", b"[[[", b"}]", b'{"error": {"code": 503, "mess', b"{]",
    b"[" * 5000 + b"]" * 5000, b'{"error": "' + b"x" * (1 << 20) + b'"}',
], ids=lambda line: repr(line[:30]))
def test_what_is_no_error_is_passed_over_as_the_standard_says(line):
    assert bare_errors(b"data: 1\n" + line + LF + b"data: 2\n\n" + line) == ([], [b"1\n2"])


def test_lines_that_open_brackets_for_ever_take_no_memory():
    tracemalloc.start()
    try:
        assert list(sse.events(b"[\n" * 1000 for _ in range(1000))) == []
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [*range((1 << 14) - 8, (1 << 14) + 2), 100_000])
@pytest.mark.parametrize("block", [1000, 1 << 16])
def test_data_is_the_same_where_it_is_too_large_to_be_copied(size, block):
    text = b'{"a":"' + b"x" * (size - 8) + b'"}'
    error = b'{"error": {"code": 503}}\n'
    for stream, data in (
        (b"data: %s\n\n" % text, whole(text)), (b"data:%s\n\n" % text, whole(text)),
        (b"data: %s\ndata: b\ndata:%s\n\n" % (text, text), whole(text + b"\nb\n" + text)),
        (b"data:\ndata:  %s\n\n" % text, whole(b"\n " + text)),
        (b"data: %s" % text, [(text, False)]), (b"data: %s\n%s" % (text, error), whole(text)),
    ):
        assert read(*[stream[at:at + block] for at in range(0, len(stream), block)]) == data


def test_a_line_in_tiny_blocks_takes_no_more_memory_than_a_few_copies():
    size = 1 << 20
    tracemalloc.start()
    try:
        assert [len(data) for data in sse.events([b"data: ", *[b"xx"] * (size // 2), b"\n\n"])] == [size]
        assert tracemalloc.get_traced_memory()[1] < 9 * size  # 4 of them are the list of blocks
    finally:
        tracemalloc.stop()


# Limits

def test_an_event_as_large_as_the_limit_passes_at_every_cut():
    for blocks in cuttings(b"data: 0123456789\n\ndata: 01234\ndata: 5678\n\n"):
        assert read(*blocks, limit=10) == whole(b"0123456789", b"01234\n5678")


@pytest.mark.parametrize("stream", [
    b"data: 0123456789A\n\n", b"data:0123456789A\n\n", b"data: 01234\ndata: 56789\n\n", b"data: 0123456789A",
    b"data: a\n\ndata: 0123456789A\n\n",
])
def test_an_event_larger_than_the_limit_is_refused_at_every_cut(stream):
    for blocks in cuttings(stream):
        with pytest.raises(sse.EventTooLarge):
            read(*blocks, limit=10)


@pytest.mark.parametrize(  # one byte more than the limit and what a line may have beside its data
    "line", [b": " + b"x" * 18, b"id: " + b"x" * 16, b"x" * 20], ids=["comment", "id", "unknown"])
@pytest.mark.parametrize("end", [b"", LF, CR, CRLF + CRLF], ids=["no end", "LF", "CR", "CRLF"])
def test_a_line_of_any_kind_larger_than_the_limit_is_refused_at_every_cut(line, end):
    for blocks in cuttings(line + end):
        with pytest.raises(sse.EventTooLarge):
            read(*blocks, limit=10)


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["unterminated", "terminated"])
def test_empty_lines_count_by_what_joins_them(end):
    """n empty data lines are n - 1 line feeds."""
    assert read(b"data:\n" * 11 + end, limit=10) == [(b"\n" * 10, bool(end))]
    for lines in (12, 1_000_000):
        with pytest.raises(sse.EventTooLarge):
            read(b"data:\n" * lines + end, limit=10)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_is_delivered_is_larger_than_the_limit(seed):
    rng = random.Random(seed)
    for _ in range(500):
        stream = b"".join(rng.choices([*PIECES, b"x" * 7], k=rng.randrange(30)))
        for size in (1, 3, 64):
            try:
                for data in sse.events([stream[at:at + size] for at in range(0, len(stream), size)], limit=10):
                    assert len(data) <= 10 + 9 * isinstance(data, sse.BareText)
            except sse.EventTooLarge:
                pass


@pytest.mark.parametrize("line", [b"data: ", b"", b": ", b"{"], ids=["data", "unknown", "comment", "bare"])
def test_blocks_of_two_bytes_take_no_more_memory_than_one_block(line):
    def blocks():
        yield line
        for _ in range(1 << 17):
            yield b"xy"
        yield b"\n\n"

    tracemalloc.start()
    try:
        for _ in sse.events(blocks()):
            pass
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_million_small_lines_of_one_event_take_a_few_copies_of_it():
    tracemalloc.start()
    try:
        assert [len(data) for data in sse.events([b"data: x\n" * 1000] * 200 + [b"\n"])] == [400_000 - 1]
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


# What is no event

BARE = b'{\n  "error": {"code": 503}\n}'


@pytest.mark.parametrize("bare", [BARE, b"[" + BARE + b"]", BARE.replace(b"\n", b"")], ids=["object", "array", "line"])
@pytest.mark.parametrize("before", [b"", b"data: a\n\n"], ids=["first", "later"])
@pytest.mark.parametrize("after", [b"", b"\n", b"\ndata: b\n\n", b"\n\ndata: b\n\n"])
def test_bare_json_is_delivered_as_such_wherever_it_stands_and_is_cut(bare, before, after):
    for blocks in cuttings(before + bare + after):
        found = list(sse.events(blocks))
        assert [bytes(data) for data in found if not isinstance(data, sse.BareText)] \
            == [b"a"] * bool(before) + [b"b"] * (b"data" in after)
        assert [json.loads(data) for data in found if isinstance(data, sse.BareText)] == [json.loads(bare)]
        assert isinstance(found[bool(before)], sse.BareText)


def test_a_line_that_never_ends_is_refused_before_all_of_it_is_taken_in():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b"x"

    with pytest.raises(sse.EventTooLarge):
        list(sse.events(endless(), limit=100))
    assert len(taken) < 120


@pytest.mark.parametrize("unit", [b"data: abc\n\n", b": ping\n", b": ping\n\n", b"id: 1\r\n\r\n", b"\n"])
def test_many_small_lines_never_reach_the_limit(unit):
    stream = unit * 200
    events = whole(b"abc") * 200 if b"data" in unit else []
    assert read(stream, limit=16) == events
    assert read(*[stream[index:index + 7] for index in range(0, len(stream), 7)], limit=16) == events


def test_memory_is_a_few_copies_of_one_event_however_many_come():
    size = 16 * 65536

    def blocks():
        for _ in range(12):
            yield b"data: "
            for _ in range(16):
                yield bytes(65536)
            yield b"\n\n"

    tracemalloc.start()
    try:
        assert [len(data) for data in sse.events(blocks())] == [size] * 12
        assert tracemalloc.get_traced_memory()[1] < 5 * size
    finally:
        tracemalloc.stop()

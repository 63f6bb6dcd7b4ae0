"""Laws of ``gemini-lite map``: any list of prompts in, a line for each out, and exit codes that a script can use."""
import csv
import json
import os
import re
import shutil
import subprocess

import pytest

from gemini_lite.cli import map_help
from gemini_lite.cli.main import main
from gemini_lite.cli.prompt_file import PromptFile
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.server import Error


def asked(request):
    return request.body["contents"][0]["parts"][0]["text"]


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A fake that answers with what was asked; its address and a key are in the environment."""
    def answer(request):
        failures = {"bad": Error(400, "no"), "key": Error(401, "no")}
        return failures.get(asked(request)) or f"answer to {asked(request)}"
    with FakeGemini(answer) as fake:
        monkeypatch.setenv("GEMINI_API_KEY", "test-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        monkeypatch.chdir(tmp_path)
        yield fake


def lines(path="out.jsonl"):
    with open(path, encoding="utf-8") as file:
        return {line["key"]: line for line in map(json.loads, file)}


def write(name, text):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def text(line):
    return line["response"]["candidates"][0]["content"]["parts"][0]["text"]


def test_rows_of_a_csv_become_prompts(served):
    write("in.csv", '\ufeffid,text\na,"one, {two}"\nb,three\n')
    assert main(["map", "in.csv", "--prompt", 'As {"json": 1}: {text}{}', "--key", "id", "-o", "out.jsonl"]) == 0
    assert {key: text(line) for key, line in lines().items()} \
        == {"a": 'answer to As {"json": 1}: one, {two}{}', "b": 'answer to As {"json": 1}: three{}'}


@pytest.mark.parametrize("flags, words", [
    (["--prompt", "Mood?"], "names no column, so that all prompts would be the same; there is: {id}, {text}"),
    (["--prompt", "{txt}"], "no such column; there is: id, text"), (["--prompt", "{text}", "--key", "no"], "--key"),
    ([], "say what to ask")])
def test_what_is_wrong_with_the_columns_is_said_before_the_first_call(served, capsys, flags, words):
    write("in.csv", "id,text\na,b\n")
    assert main(["map", "in.csv", "-o", "out.jsonl", *flags]) == 2
    assert words in capsys.readouterr().err
    assert not served.requests and not os.path.exists("out.jsonl")


def test_lines_of_json_are_prompts_requests_and_openais_bodies(served):
    request = {"contents": [{"role": "user", "parts": [{"text": "r"}]}]}
    body = {"model": "gpt", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "o"}],
            "temperature": 0.5}
    write("in.jsonl", "\n".join(map(json.dumps, [
        "plain", {"key": "p", "prompt": "p"}, {"key": "r", "request": request},
        {"custom_id": "o", "method": "POST", "url": "/v1/chat/completions", "body": body}])))
    assert main(["map", "in.jsonl", "-o", "out.jsonl"]) == 0
    assert {key: text(line) for key, line in lines().items()} \
        == {"0": "answer to plain", "p": "answer to p", "r": "answer to r", "o": "answer to o"}
    sent = next(request.body for request in served.requests if asked(request) == "o")
    assert sent["generationConfig"]["temperature"] == 0.5 and sent["systemInstruction"]["parts"] == [{"text": "s"}]


def test_lines_of_text_are_prompts_and_flags_are_options(served):
    write("in.txt", "one\n\ntwo\n")
    assert main(["map", "in.txt", "-o", "out.jsonl", "-s", "Be brief.", "-t", "0"]) == 0
    assert sorted(map(asked, served.requests)) == ["one", "two"]
    assert served.requests[0].body["generationConfig"] == {"temperature": 0.0}


def test_some_failures_are_exit_code_1_and_the_second_call_sends_nothing_anew(served, capsys):
    write("in.txt", "one\nbad\n")
    assert main(["map", "in.txt", "-o", "out.jsonl"]) == 1
    said = capsys.readouterr().err
    assert "1 answered, 1 failed" in said and "1 x BadRequestError 400 INVALID_ARGUMENT: no" in said
    assert "with --retry-errors all it tries all that failed again" in said
    assert main(["map", "in.txt", "-o", "out.jsonl"]) == 1
    assert len(served.requests) == 2


def test_a_run_that_stops_is_exit_code_3_and_says_how_to_go_on(served, capsys):
    write("in.txt", "one\nkey\n")
    assert main(["map", "in.txt", "-o", "out.jsonl", "--concurrency", "1"]) == 3
    assert "the same command goes on" in capsys.readouterr().err
    assert set(lines()) == {"0"}


def test_standard_output_takes_the_lines(served, capfdbinary):
    write("in.txt", "one\ntwo\n")
    assert main(["map", "in.txt", "-o", "-", "-q"]) == 0
    assert {json.loads(line)["key"] for line in capfdbinary.readouterr().out.splitlines()} == {"0", "1"}


def test_a_schema_is_asked_for_and_checked(served):
    write("schema.json", '{"type": "object"}')
    write("in.txt", "one\n")
    assert main(["map", "in.txt", "-o", "out.jsonl", "--schema", "schema.json"]) == 1
    line = lines()["0"]
    assert line["error"] and line["meta"]["response"]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("name, content, words", [
    ("in.jsonl", b'"a"\n{', "line 2 of in.jsonl is no JSON"), ("none.txt", None, "cannot be read"),
    ("in.txt", b"one\ntwo\ncaf\xe9\n", "line 3 of in.txt is not UTF-8 (the byte 0xe9): convert it first"),
    ("in.csv", b"id,text\na,x\nb,caf\xe9\n", "line 3 of in.csv is not UTF-8"),
    ("in.csv", b"id,text\na,x\nb,y\na,z\n", "prompt 3 of in.csv has the key 'a', and so has one before it"),
    ("in.jsonl", b'{"key": "0", "prompt": "x"}\n{"key": "0", "prompt": "y"}', "prompt 2 of in.jsonl has the key '0'"),
])
def test_what_is_wrong_anywhere_in_the_input_is_said_before_the_first_call(served, capsys, name, content, words):
    if content is not None:
        with open(name, "wb") as file:
            file.write(content)
    table = ["--prompt", "{text}", "--key", "id"] if name == "in.csv" else []
    for command in ("map", "batch"):
        assert main([command, name, "-o", "out.jsonl", *table]) == 2
        assert words in capsys.readouterr().err
    assert not served.requests and not os.path.exists("out.jsonl")


def test_what_is_wrong_in_a_pipe_is_said_with_what_was_done(served, capsys, monkeypatch):
    read, write_end = os.pipe()
    os.write(write_end, (b"one" + b" " * 500 + b"\n") * 100 + b"caf\xe9\n")  # more than is read at once
    os.close(write_end)
    with open(read, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["map", "-", "-o", "out.jsonl"]) == 2
    said = capsys.readouterr().err
    assert "- is not UTF-8 (the byte 0xe9)" in said and " answered, 0 failed" in said and lines()


def test_the_number_of_prompts_is_known_before_the_first_call(served):
    write("in.csv", 'id,text\na,"two\nlines"\nb,y\n')
    prompts = PromptFile(map_help.MapArguments(input="in.csv", input_format=None, prompt="{text}", key="id"))
    assert len(prompts) == 2 and list(prompts) == list(prompts) == [("a", "two\nlines"), ("b", "y")]


def test_a_table_of_a_spreadsheet_may_have_semicolons_and_long_cells(served):
    write("in.csv", f"id;text\na;one\nb;{'x' * 200_000}\n")
    assert main(["map", "in.csv", "--prompt", "{text}", "--key", "id", "-o", "out.jsonl"]) == 0
    assert sorted(map(len, map(asked, served.requests))) == [3, 200_000]


def test_set_reaches_the_request_of_map(served):
    write("in.txt", "one\n")
    flags = ["--set", "max_output_tokens=9", "--set", "thinking_budget=0"]
    assert main(["map", "in.txt", "-o", "out.jsonl", *flags]) == 0
    assert served.requests[0].body["generationConfig"] == {
        "maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": 0}}


@pytest.mark.parametrize("name", ["o.csv", "o.TSV", "o.json"])
@pytest.mark.parametrize("command", ["map", "batch"])
def test_a_name_that_is_not_of_json_lines_is_refused(served, capsys, name, command):
    write("in.txt", "one\n")
    assert main([command, "in.txt", "-o", name]) == 2
    assert "write -o o.jsonl" in capsys.readouterr().err and not served.requests and not os.path.exists(name)


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_table_that_the_help_shows_is_one(served):
    write("in.csv", 'id,text\na,"one, two"\nb,bad\n')
    assert main(["map", "in.csv", "--prompt", "{text}", "--key", "id", "-o", "answers.jsonl"]) == 1
    line, = re.findall("^  (jq .*> answers.csv)$", map_help.EXAMPLES, re.MULTILINE | re.DOTALL)
    subprocess.run(line, shell=True, check=True)
    with open("answers.csv", encoding="utf-8") as file:
        table = file.read()
    assert sorted(csv.reader(table.splitlines()))[0] == ["a", "answer to one, two", ""] and '"b",,"no' in table


def test_a_prompt_without_its_flag_is_said_to_need_it(served, capsys):
    with pytest.raises(SystemExit):
        main(["map", "in.csv", "Mood? {text}", "-o", "out.jsonl"])
    assert "the prompt for each row stands behind --prompt" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["map", "batch"])
def test_answers_of_the_demo_and_of_a_model_do_not_mix(served, capsys, monkeypatch, no_sleep, command):
    monkeypatch.setattr("gemini_lite.demo.DELAY", 0)
    write("in.txt", "one\ntwo\n")
    assert main(["--demo", command, "in.txt", "-o", "trial.jsonl"]) == 0
    assert main(["--demo", command, "in.txt", "-o", "trial.jsonl"]) == 0
    before = lines("trial.jsonl")
    assert all(line["meta"]["demo"] is True for line in before.values())
    assert main([command, "in.txt", "-o", "trial.jsonl"]) == 2
    assert "trial.jsonl was written by the demo, whose answers are made up" in capsys.readouterr().err
    assert lines("trial.jsonl") == before and not served.requests
    assert main(["map", "in.txt", "-o", "real.jsonl"]) == 0 and "demo" not in str(lines("real.jsonl"))
    assert main(["--demo", command, "in.txt", "-o", "real.jsonl"]) == 2
    assert "real.jsonl has the answers of a model" in capsys.readouterr().err


def test_a_program_under_the_demo_marks_its_answers_too(served, monkeypatch, capfdbinary):
    monkeypatch.setenv("GEMINI_API_KEY", "demo")
    write("in.txt", "one\n")
    assert main(["map", "in.txt", "-o", "-"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["meta"]["demo"] is True


@pytest.mark.parametrize("row, found", [("2,cold, the wine warm", "3 cells"), ("3", "1 cell")])
def test_a_row_that_does_not_fit_its_table_is_named_before_anything_is_sent(served, capsys, row, found):
    write("in.csv", f"id,text\n1,good\n{row}\n")
    assert main(["map", "in.csv", "--prompt", "{text}", "--key", "id", "-o", "out.jsonl"]) == 2
    assert f"line 3 of in.csv has {found}, and the table has 2 columns" in capsys.readouterr().err
    assert not served.requests


def test_failures_that_are_in_the_file_are_told_by_the_next_run_too(served, capsys):
    write("in.txt", "good\nbad\n")
    assert main(["map", "in.txt", "-o", "out.jsonl"]) == 1
    capsys.readouterr()
    assert main(["map", "in.txt", "-o", "out.jsonl"]) == 1
    err = capsys.readouterr().err
    assert "2 were there already, and 1 failed before" in err and "--retry-errors all" in err


def test_columns_of_one_name_and_semicolons_are_no_reason_to_refuse_a_row(served, capsys):
    write("in.csv", "text,,\none,,\n\ntwo,,\n")
    assert main(["map", "in.csv", "--prompt", "{text}", "-o", "out.jsonl"]) == 0
    assert sorted(text(line) for line in lines().values()) == ["answer to one", "answer to two"]
    write("semicolons.csv", "id;text\n1;one\n2\n")
    assert main(["map", "semicolons.csv", "--prompt", "{text}", "-o", "other.jsonl"]) == 2
    assert "line 3 of semicolons.csv has 1 cell" in capsys.readouterr().err


@pytest.mark.parametrize("line, words", [
    ('{"id": 2, "txt": "b"}', "has no 'text', which --prompt names"), ('[1]', "is no object"),
    ('{"text": "b"}', "has no 'id', which --key names"), ('{"id": null, "text": "b"}', "has no 'id'"),
])
@pytest.mark.parametrize("name", ["in.jsonl", "-"])
def test_a_line_without_a_field_that_is_named_is_not_sent(served, capsys, monkeypatch, line, words, name):
    write("in.jsonl", f'{{"id": 1, "text": "a"}}\n{line}\n')
    with open("in.jsonl", encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["map", name, "--input-format", "jsonl", "--prompt", "{text}", "--key", "id",
                     "-o", "out.jsonl"]) == 2
    assert f"line 2 of {'standard input' if name == '-' else name} {words}" in capsys.readouterr().err
    assert "{text}" not in [asked(request) for request in served.requests]


def test_values_that_are_no_texts_are_written_as_json(served):
    write("in.jsonl", "".join(f'{{"it": {value}}}\n' for value in ('null', 'true', '{"a": ["é"]}', '1.50', '"{it}"')))
    assert main(["map", "in.jsonl", "--prompt", "<{it}>", "-o", "out.jsonl"]) == 0
    assert sorted(map(asked, served.requests)) == sorted(["<>", "<true>", '<{"a": ["é"]}>', "<1.5>", "<{it}>"])


def test_a_line_in_openais_form_that_cannot_be_sent_is_named(served, capsys):
    write("in.jsonl", '{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "x"}]}}\n'
                      '{"custom_id": "b"}\n')
    assert main(["map", "in.jsonl", "-o", "out.jsonl"]) == 2
    assert "line 2 of in.jsonl cannot be sent: messages hold nothing" in capsys.readouterr().err


def test_a_table_may_begin_with_empty_lines(served):
    write("in.csv", "\n\r\nid,text\n1,one\n")
    assert main(["map", "in.csv", "--prompt", "{text}", "--key", "id", "-o", "out.jsonl"]) == 0
    assert text(lines()["1"]) == "answer to one"


@pytest.mark.parametrize("flags", [["--prompt", "{text}"], ["--prompt", "{id}", "--key", "text"]])
def test_a_column_that_is_there_twice_cannot_be_named(served, capsys, flags):
    write("in.csv", "id,text,text\n1,one,two\n")
    assert main(["map", "in.csv", *flags, "-o", "out.jsonl"]) == 2
    assert "there are 2 columns of that name" in capsys.readouterr().err and not served.requests


def test_a_file_of_powershell_is_known_for_what_it_is(served, capsys):
    with open("in.txt", "wb") as file:
        file.write("one\n".encode("utf-16"))
    assert main(["map", "in.txt", "-o", "out.jsonl"]) == 2
    assert "iconv -f utf-16" in capsys.readouterr().err


def test_a_parameter_that_gemini_lacks_is_told_once_and_not_for_each_line(served, capsys):
    body = {"messages": [{"role": "user", "content": "x"}], "user": "u", "metadata": {"a": "b"}}
    write("in.jsonl", "".join(json.dumps({"custom_id": str(number), "body": body}) + "\n" for number in range(9)))
    assert main(["map", "in.jsonl", "-o", "out.jsonl", "-q"]) == 0
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "gemini-lite: metadata is left out: Gemini has no word for it",
        "gemini-lite: user is left out: Gemini has no word for it"]

"""Laws of ``gemini-lite batch``: the files and exit codes of ``map``, by a job that any later command finds."""
import json
import os

import pytest

from gemini_lite.cli.main import main
from gemini_lite.many.batch_manifest import read_manifest, write_manifest
from gemini_lite.testing import Error
from gemini_lite.testing.batches_service import BatchesService, text_answer


@pytest.fixture
def service(signed_in, at_fake, no_sleep, monkeypatch, tmp_path):
    service = BatchesService()
    at_fake.services += [service, service.files]
    monkeypatch.chdir(tmp_path)
    with open("in.txt", "w", encoding="utf-8") as file:
        file.write("one\ntwo\n")
    return service


def keys(path="out.jsonl"):
    with open(path, encoding="utf-8") as file:
        return sorted(json.loads(line)["key"] for line in file)


def batch(*flags):
    return main(["batch", "in.txt", "-o", "out.jsonl", *flags])


def test_the_prompts_of_a_file_are_answered_into_another(service, capsys):
    assert batch() == 0
    assert keys() == ["0", "1"] and sorted(os.listdir()) == ["in.txt", "out.jsonl"]
    assert "2 answered" in capsys.readouterr().err
    assert batch("-q") == 0 and len(service.jobs) == 1


def test_a_job_is_handed_in_shown_and_collected_by_commands_of_their_own(service, capsys):
    assert batch("--submit") == 0
    said = capsys.readouterr().err
    assert "batches/b1 has 2 prompts" in said and "0 prompts" not in said
    assert main(["batch", "-o", "out.jsonl", "--status"]) == 0
    assert capsys.readouterr().out == "batches/b1 RUNNING: 2 requests, 2 pending\n"
    assert batch("--collect") == 0
    assert keys() == ["0", "1"] and len(service.jobs) == 1
    capsys.readouterr()
    for flag in ("--collect", "--status"):
        assert batch(flag) == 0 and "out.jsonl has 2 results, 0 of them failed" in capsys.readouterr().err


def test_a_job_that_has_not_ended_is_no_success(service):
    service.states = ["PENDING"]
    assert batch("--submit") == 0 and batch("--submit") == 0 and batch("--collect") == 3
    assert len(service.jobs) == 1


def test_a_cancelled_job_is_forgotten_by_the_next_collect(service, capsys):
    assert batch("--submit") == 0
    assert main(["batch", "-o", "out.jsonl", "--cancel"]) == 0
    assert service.jobs["batches/b1"]["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert batch("--collect") == 3 and "CANCELLED" in capsys.readouterr().err
    assert batch() == 0 and len(service.jobs) == 2


@pytest.mark.parametrize("flag", ["--collect", "--status", "--cancel"])
def test_without_a_job_there_is_nothing_to_look_at(service, at_fake, capsys, flag):
    assert batch(flag) == 2
    assert "no job is under way" in capsys.readouterr().err and at_fake.requests == []


@pytest.mark.parametrize("flag", ["--status", "--cancel"])
def test_a_job_that_is_gone_is_said(service, capsys, flag):
    batch("--submit")
    service.jobs.clear()
    for flags in ([flag], ["--collect"], []):
        capsys.readouterr()
        assert batch(*flags) == 3
        said = capsys.readouterr().err
        assert "batches/b1 was made and is not there" in said and "--again hands" in said
        assert "again=True" not in said and "goes on from here" not in said
    assert batch("--again") == 0 and keys() == ["0", "1"]


def test_failed_prompts_and_missing_ones_have_exit_codes_of_their_own(service, capsys):
    service.dropped_keys = ["1"]
    assert batch() == 3 and "no result for 1 prompt;" in capsys.readouterr().err
    service.dropped_keys = []
    service.answer = lambda key, request: {"error": {"code": 3, "message": "bad"}} if key == "1" \
        else text_answer(key, request)
    assert batch() == 1 and keys() == ["0", "1"]


def test_a_refused_job_stops_and_can_go_on(service, at_fake, capsys):
    refusal = [Error(400, "no such model")]
    at_fake.services.insert(0, lambda request: refusal[0] if refusal and ":batchGenerate" in request.path else None)
    assert batch() == 3 and "no such model" in capsys.readouterr().err
    refusal.clear()
    assert batch("-m", "gemini-x") == 0


@pytest.mark.parametrize("arguments, words", [
    (["-o", "out.jsonl"], "name the file"), (["in.txt", "-o", "-"], "give -o a name")])
def test_wrong_usage_is_said_before_anything_is_sent(service, at_fake, capsys, arguments, words):
    assert main(["batch", *arguments]) == 2
    assert words in capsys.readouterr().err and at_fake.requests == []


def test_a_job_that_nobody_can_know_of_is_said_in_the_words_of_the_shell(service, capsys, monkeypatch):
    monkeypatch.setattr("gemini_lite.api.batch_jobs.LOOK_SECONDS", 0.1)
    batch("--submit")
    service.jobs.clear()
    note = read_manifest("out.jsonl")
    write_manifest("out.jsonl", note._replace(step="creating", name=None))
    assert batch("--collect") == 3
    said = capsys.readouterr().err
    assert "nobody can know whether the job gemini-lite-" in said and "with --again" in said and "client." not in said


@pytest.mark.parametrize("step", ["submit", "collect", "status", "cancel"])
def test_the_demo_has_no_steps_and_names_the_way_that_has(service, at_fake, capsys, step):
    assert batch("--demo", f"--{step}") == 2
    assert "python -m gemini_lite.demo bash" in capsys.readouterr().err and at_fake.requests == []


def test_a_job_of_the_demo_leaves_no_note(service, capsys, monkeypatch):
    def interrupt(*args, **settings):
        raise KeyboardInterrupt
    monkeypatch.setattr("gemini_lite.api.batches.Batches.wait", interrupt)
    assert batch("--demo") == 130
    assert "the demo's job with it" in capsys.readouterr().err and "out.jsonl.batch.json" not in os.listdir()

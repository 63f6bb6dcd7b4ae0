"""``gemini-lite batch``: the prompts of a file, answered into another by a job of the Batch API."""
from __future__ import annotations

import contextlib
import os

from ..client import GeminiClient
from ..errors import GeminiError
from ..json_data.previews import counted
from ..many.batch import find_job
from ..many.batch_manifest import Manifest, manifest_path, read_manifest, remove_manifest
from ..many.results_file import read_results
from ..many.stats import Stats
from .batch_help import BatchArguments
from .map_command import OpenClient, check_output, read_options
from .prompt_file import naming, open_prompts
from .standard_error import print_lines, print_status


def run_batch(arguments: BatchArguments, open_client: OpenClient) -> int:
    """Run the command with a client that `open_client` opens; its exit code."""
    if arguments.output_file == "-":
        raise ValueError("results are kept in a file that can be read again: give -o a name")
    check_output(arguments.output_file)
    if arguments.demo and arguments.step is not None:
        raise ValueError(f"every --demo starts afresh, and its jobs end with it: for --{arguments.step} run python -m "
                         "gemini_lite.demo bash, and the commands there, without --demo")
    if arguments.step in ("status", "collect") and _report_if_collected(arguments.output_file):
        return 0
    if arguments.step in ("status", "cancel"):
        manifest = _manifest(arguments)
        with open_client() as client:
            return _show(client, manifest) if arguments.step == "status" else _cancel(client, manifest)
    if arguments.input is None:
        raise ValueError("name the file of prompts; only --status and --cancel need none")
    if arguments.step == "collect":
        _manifest(arguments)
    return _answer(arguments, open_client)


def _answer(arguments: BatchArguments, open_client: OpenClient) -> int:
    fields = read_options(arguments)
    with contextlib.ExitStack() as stack, naming(str(arguments.input)):
        prompts = open_prompts(stack, arguments)  # an unknown column is an error before there is a client
        client = stack.enter_context(open_client())
        try:
            stats = client.batch_to(
                arguments.output_file, prompts, wait=arguments.step is None, again=arguments.again,
                retry_errors=arguments.retry_errors, progress=False if arguments.quiet else None, **fields)
        except (GeminiError, OSError, KeyboardInterrupt) as error:
            return _report_stop(error, arguments)
        finally:
            if arguments.demo:  # whose job is gone
                remove_manifest(arguments.output_file)
    return _report(stats, arguments)


def _report(stats: Stats, arguments: BatchArguments) -> int:
    """Say what there is; the exit code."""
    manifest = read_manifest(arguments.output_file)
    if not arguments.quiet:
        waiting = counted(stats.in_flight, "prompt")
        if stats.done or stats.skipped or manifest is None:
            print_lines(str(stats))
        if manifest is not None:
            print_status(f"{manifest.name} has {waiting}")
        elif stats.in_flight:
            print_status(f"no result for {waiting}; the same command hands in what is missing")
    if stats.in_flight:
        return 0 if arguments.step == "submit" and manifest is not None else 3
    return 1 if stats.failed or stats.failed_before else 0


def _report_stop(error: BaseException, arguments: BatchArguments) -> int:
    """Say why the call stopped, and how to go on; the exit code."""
    if getattr(error, "summary", None) is None and not isinstance(error, KeyboardInterrupt):
        raise error  # it did not begin
    if isinstance(error, KeyboardInterrupt):
        print_status("stopped, and the demo's job with it" if arguments.demo else
                     "stopped; the job, if it was handed in, goes on, and the same command finds it")
        return 130
    manifest = read_manifest(arguments.output_file)
    if manifest is not None and getattr(error, "reason", None) in ("GONE", "UNKNOWN"):
        return _report_missing(manifest)
    print_status(str(error))
    print_status("stopped; the same command goes on from here")
    return 3


def _report_missing(manifest: Manifest) -> int:
    """Say how to go on where the server has no such job; the exit code."""
    if manifest.name is not None:
        print_status(f"{manifest.name} was made and is not there: deleted, expired, or another key's. The command with "
                     "--again hands its prompts in once more, which is paid for again")
    else:
        print_status(f"nobody can know whether the job {manifest.display_name} was made: it is not there. The same "
                     "command looks for it again; with --again it makes one if there is none, and may pay twice")
    return 3


def _report_if_collected(output: str) -> bool:
    """Whether no job is under way and the results are there, which is said."""
    if read_manifest(output) is not None or not os.path.exists(output):
        return False
    failed = [result.error is not None for result in read_results(output)]
    print_status(f"no job is under way; {output} has {counted(len(failed), 'result')}, {sum(failed):,} of them failed. "
                 "--submit hands in what is missing")
    return True


def _manifest(arguments: BatchArguments) -> Manifest:
    manifest = read_manifest(arguments.output_file)
    if manifest is None:
        raise ValueError(f"no job is under way for {arguments.output_file}: there is no "
                         f"{manifest_path(arguments.output_file)}. Hand one in with --submit")
    return manifest


def _show(client: GeminiClient, manifest: Manifest) -> int:
    job = find_job(client.batches.jobs, manifest)
    if job is None:
        return _report_missing(manifest)
    counts = {"requests": job.request_count, "done": job.successful_count, "failed": job.failed_count,
              "pending": job.pending_count}
    words = [f"{count:,} {name}" for name, count in counts.items() if count is not None]
    print(f"{job.name} {job.state}{': ' if words else ''}{', '.join(words)}", flush=True)
    return 0


def _cancel(client: GeminiClient, manifest: Manifest) -> int:
    job = find_job(client.batches.jobs, manifest)
    if job is None:
        return _report_missing(manifest)
    client.batches.cancel(job.name)
    print_status(f"{job.name} is being cancelled; --collect takes in what it has, and forgets it")
    return 0

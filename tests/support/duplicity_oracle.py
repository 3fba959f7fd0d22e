"""Answers what real duplicity makes of rules, times, names, URLs and listings, for tests/it/differential.

Run with the Python of an installed duplicity (3.2.1, or 0.8.22 for names only). A question is a line of JSON on standard
input, its answer a line of JSON on standard output. Bytes travel as Latin-1 text: one character per byte.
"""

import gzip
import json
import os
import sys
import tempfile
import time

answers = os.fdopen(os.dup(1), "w")
# Whatever duplicity prints must not stand between the answers.
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

from duplicity import config, dup_time, errors, file_naming, log  # noqa: E402

IS_3 = hasattr(config, "file_prefix_jsonstat")

if IS_3:
    from duplicity import cli_util, dup_collections, dup_main, selection
    from duplicity.path import Path

log.setup()
log.setverbosity(log.ERROR)
log.Error = lambda *_args, **_more: None

scratch = tempfile.mkdtemp(prefix="dupr-oracle-")


def raw(text):
    return text.encode("latin-1")


def text(raw_bytes):
    return raw_bytes.decode("latin-1")


def failure(error):
    """What duplicity would end with: its own exit codes, and a word for what it does not expect itself."""
    if isinstance(error, errors.FatalError):
        return str(error.code)
    if isinstance(error, errors.UserError):
        return "23"
    return "bad " + type(error).__name__


def set_options(question):
    """Feeds options to the actions of duplicity's own command line."""
    config.select_opts = []
    config.select_files = []
    config.null_separator = question.get("null", False)
    for number, (name, value) in enumerate(question["options"]):
        option = "--" + name
        value = os.fsdecode(raw(value))
        if name.endswith("-filelist") or name == "files-from":
            file = os.path.join(scratch, f"list{number}")
            with open(file, "wb") as f:
                f.write(os.fsencode(value))
            cli_util.AddFilelistAction([option], "x")(None, None, file, option)
        elif name in ("exclude-device-files", "exclude-other-filesystems") or name.startswith("filter-"):
            cli_util.AddSelectionAction([option], "x", nargs=0)(None, None, [], option)
        else:
            if name == "exclude-older-than":
                value = cli_util.check_time(value)
            cli_util.AddSelectionAction([option], "x")(None, None, value, option)


def close_lists():
    for file in config.select_files:
        file.close()


def select(question):
    """What of a tree belongs to a backup, in order."""
    config.copy_links = question.get("copy_links", False)
    os.chdir(raw(question["dir"]))
    try:
        set_options(question)
        root = Path(Path(os.fsdecode(raw(question["root"]))).get_canonical())
        chosen = selection.Select(root)
        cli_util.parse_selection_args(chosen, config.select_opts, config.select_files)
        return {"paths": [text(b"/".join(p.index)) for p in chosen.set_iter() if p.type]}
    except Exception as error:
        return {"error": failure(error)}
    finally:
        close_lists()


def regexps(question):
    """Which texts each expression is found in; null where it cannot be compiled."""
    import re

    found = []
    for pattern, subjects, ignore_case in question["cases"]:
        try:
            compiled = re.compile(os.fsdecode(raw(pattern)), re.IGNORECASE if ignore_case else 0)
        except Exception:
            found.append(None)
            continue
        found.append([bool(compiled.search(os.fsdecode(raw(s)))) for s in subjects])
    return {"found": found}


def times(question):
    """Seconds since 1970 that texts mean, seen from a time in a zone; null for those that are no time."""
    os.environ["TZ"] = question["zone"]
    time.tzset()
    config.time_separator = question.get("separator", ":")
    found = []
    for words in question["texts"]:
        try:
            found.append(dup_time.genstrtotime(words, question["now"]))
        except dup_time.TimeException:
            found.append(None)
        except Exception as error:
            found.append("bad " + type(error).__name__)
    os.environ["TZ"] = "UTC"
    time.tzset()
    return {"times": found}


KINDS = ("file_prefix", "file_prefix_archive", "file_prefix_manifest", "file_prefix_signature", "file_prefix_jsonstat")


def set_naming(question):
    for kind, prefix in zip(KINDS, question["prefixes"]):
        setattr(config, kind, raw(prefix))
    config.time_separator = question.get("separator", ":")
    config.short_filenames = question.get("short", False)
    config.old_filenames = question.get("old", False)
    file_naming.prepare_regex(force=True)


def parsed(name, now):
    dup_time.curtime = now
    try:
        found = file_naming.parse(name)
    except Exception as error:
        return "bad " + type(error).__name__
    if not found:
        return None
    return {
        "type": found.type,
        "manifest": bool(found.manifest),
        "volume": found.volume_number,
        "time": found.time,
        "start": found.start_time,
        "end": found.end_time,
        "encrypted": bool(found.encrypted),
        "compressed": bool(found.compressed),
        "partial": bool(found.partial),
    }


def parse(question):
    """What names say."""
    set_naming(question)
    return {"parsed": [parsed(raw(name), question["now"]) for name in question["names"]]}


def get(question):
    """The names of files."""
    set_naming(question)
    found = []
    for file in question["files"]:
        dup_time.setcurtime(file["end"])
        if file.get("start"):
            dup_time.setprevtime(file["start"])
        config.use_gpgsm = file.get("gpgsm", False)
        name = file_naming.get(
            file["type"],
            volume_number=file.get("volume"),
            manifest=file.get("manifest", False),
            encrypted=file["encrypted"],
            gzipped=file["compressed"],
            partial=file["partial"],
        )
        found.append(text(name))
    return {"names": found}


class Target:
    """A target that is a list of names."""

    def __init__(self, names, manifests):
        self.names = names
        self.manifests = manifests
        self.deleted = []

    def list(self):
        return list(self.names)

    def delete(self, names):
        for name in names:
            if name in self.names:
                self.names.remove(name)
                self.deleted.append(name)

    def get_data(self, name):
        return self.manifests.get(name, b"")


def sets_of(found):
    return [[s.type, s.start_time or 0, s.get_time(), sorted(s.volume_name_dict)] for s in found]


def sets_in(chain):
    # Its own list leaves out a full set without volumes, which counts as nothing.
    return [chain.fullset] + chain.incset_list


def collection(question):
    """What a target holds, and what housekeeping would delete of it."""
    set_naming(question)
    now = question["now"]
    config.check_remote = True
    config.dry_run = False
    names = [raw(n) for n in question["remote"]]
    manifests = {raw(n): raw(m) for n, m in question["manifests"].items()}
    archive = tempfile.mkdtemp(dir=scratch)
    answer = {}
    try:
        for name, content in question["local"].items():
            content = raw(content)
            with open(os.path.join(os.fsencode(archive), raw(name)), "wb") as f:
                f.write(gzip.compress(content) if name.endswith(".gz") else content)
        kept = {n: open(os.path.join(archive, n), "rb").read() for n in os.listdir(archive)}
        config.archive_dir_path = Path(archive)

        def look(target):
            dup_time.setcurtime(now)
            status = dup_collections.CollectionsStatus(target, config.archive_dir_path, first=True)
            return status.set_values(sig_chain_warning=None)

        status = look(Target(list(names), manifests))
        pair = status.matched_chain_pair
        answer = {
            "chains": [sets_of(sets_in(c)) for c in status.all_backup_chains],
            "orphaned": sets_of(status.orphaned_backup_sets),
            "incomplete": sets_of(status.incomplete_backup_sets),
            "latest": status.get_last_full_backup_time(),
            # Sets with a manifest that were taken off the newest chain for want of a sigtar.
            "dropped": sets_of([s for s in status.incomplete_backup_sets if s.is_complete()]),
            "matched": bool(pair),
            "at": [],
            "deleted": [],
        }
        for moment in question["at"]:
            try:
                chain = status.get_backup_chain_at_time(moment)
                answer["at"].append(sets_of(chain.get_sets_at_time(moment)))
            except dup_collections.CollectionsError as error:
                answer["at"].append(str(error))
        for action, argument in question["actions"]:
            target = Target(list(names), manifests)
            config.action, config.force = action, True
            outcome = None
            try:
                status = look(target)
                if action == "cleanup":
                    dup_main.cleanup(status)
                elif action == "remove-older-than":
                    config.remove_time = argument
                    dup_main.remove_old(status, action)
                else:
                    config.keep_chains = argument
                    dup_main.remove_all_but_n_full(status, action)
            except Exception as error:
                outcome = failure(error)
            answer["deleted"].append({"names": [text(n) for n in target.deleted], "error": outcome})
            for name in os.listdir(archive):
                os.unlink(os.path.join(archive, name))
            for name, content in kept.items():
                with open(os.path.join(archive, name), "wb") as f:
                    f.write(content)
        return answer
    except Exception as error:
        return {"error": failure(error)}
    finally:
        for name in os.listdir(archive):
            os.unlink(os.path.join(archive, name))
        os.rmdir(archive)


def options(_question):
    """Every option the parser of this version takes, hidden ones too, with the number of its values."""
    found = {}

    def note(names, values):
        for name in names:
            if name.startswith("--"):
                found[name[2:]] = values

    class Enough(Exception):
        pass

    def stop(*_args, **_more):
        raise Enough

    if IS_3:
        from duplicity import cli_main

        argparse = cli_main.argparse

        add = argparse._ActionsContainer.add_argument

        def add_argument(self, *args, **more):
            action = add(self, *args, **more)
            note(action.option_strings, 1 if action.nargs is None else action.nargs)
            return action

        argparse._ActionsContainer.add_argument = add_argument
        parse = argparse.ArgumentParser.parse_known_intermixed_args
        calls = []

        def parse_all(self, *args, **more):
            # First come those for the log alone.
            calls.append(self)
            return stop() if len(calls) > 1 else parse(self, *args, **more)

        argparse.ArgumentParser.parse_known_intermixed_args = parse_all
        ask = cli_main.parse_cmdline_options
    else:
        import optparse

        from duplicity import commandline

        add = optparse.OptionContainer.add_option

        def add_option(self, *args, **more):
            option = add(self, *args, **more)
            note(option._long_opts, (option.nargs or 1) if option.takes_value() else 0)
            return option

        optparse.OptionContainer.add_option = add_option
        optparse.OptionParser.parse_args = stop
        ask = commandline.parse_cmdline_options
    try:
        ask(["collection-status", "file:///nowhere"])
    except Enough:
        pass
    return sorted(found.items())


def urls(question):
    """What URLs say, by the parser that all backends get it from; null for what is refused."""
    from duplicity import backend

    if not backend._backends:
        backend.import_backends()
    found = []
    for words in question["urls"]:
        try:
            url = backend.ParsedUrl(words)
            for prefix in backend._backend_prefixes:
                if words.startswith(prefix + "+"):
                    url = backend.ParsedUrl(backend.strip_prefix(words, prefix))
        except errors.UserError:
            found.append(None)
            continue
        names = ("url_string", "scheme", "username", "password", "hostname", "port", "path")
        found.append({**{name: getattr(url, name) for name in names}, "query": url.query_args})
    return {"urls": found}


ASKED = {
    "urls": urls,
    "options": options,
    "select": select,
    "regexps": regexps,
    "times": times,
    "parse": parse,
    "get": get,
    "collection": collection,
}


def main():
    for line in sys.stdin:
        question = json.loads(line)
        answers.write(json.dumps(ASKED[question["ask"]](question)) + "\n")
        answers.flush()
    for name in os.listdir(scratch):
        os.unlink(os.path.join(scratch, name))
    os.rmdir(scratch)


main()

"""Everything measured, one JSON line each, flushed at once: what a Ctrl-C or a crash leaves is what the next run resumes from."""
import json, os

FORMAT = 1


class StateError(Exception):
    pass


def parse_lines(path):
    """The records of a file. A last line cut short by a crash is dropped; anything else amiss is an error."""
    records = []
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().split("\n")
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or "type" not in record:
                raise ValueError
        except ValueError:
            if number >= len(lines) - 2:
                break
            raise StateError(f"{path}:{number + 1}: not a line of a sweep's state") from None
        records.append(record)
    return records


class State:
    """The records of one sweep, in memory and on disk."""

    def __init__(self, path, header, say, fresh=False):
        self.path, self.say, self.records, self.unsaved, self.full = path, say, [], [], False
        header = {"type": "header", "format": FORMAT, **header}
        if os.path.exists(path) and os.path.isfile(path):
            self.take_over(header, fresh)
        self.resumed = len(self.records) > 0
        if not self.records:
            self.file = open(path, "w", encoding="utf-8")
            self.append(header)
        else:
            # Behind a line that was cut short nothing may be appended.
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in self.records)
            self.file = open(path, "a", encoding="utf-8")

    def take_over(self, header, fresh):
        def set_aside(why):
            os.replace(self.path, self.path + ".previous")
            self.say(f"{why}; the earlier state is kept as {self.path}.previous")

        try:
            records = parse_lines(self.path)
        except StateError as error:
            set_aside(f"{error}: starting afresh")
            return
        if not records:
            return
        if records[0].get("format") != FORMAT:
            set_aside(f"{self.path} is of another version (format {records[0].get('format')}, this is {FORMAT}): starting afresh")
            return
        differing = [k for k in header if records[0].get(k) != header[k]]
        if differing:
            set_aside(f"{self.path} is of a sweep with another {', '.join(differing)}: starting afresh")
        elif fresh or any(r["type"] == "finished" for r in records):
            os.replace(self.path, self.path + ".previous")
        else:
            self.records = records
            count = sum(r["type"] == "sample" for r in records)
            self.say(f"resuming: {count} measurements are there already (--fresh starts over)")

    def append(self, record):
        self.records.append(record)
        self.unsaved.append(record)
        self.save()

    def save(self):
        """A full disk loses nothing: what could not be written is kept and tried again with the next record."""
        while self.unsaved:
            try:
                self.file.write(json.dumps(self.unsaved[0]) + "\n")
                self.file.flush()
            except OSError as error:
                # Python's buffer keeps the line and would fail again at close: begin with a new one.
                try:
                    self.file.close()
                except OSError:
                    pass
                if not self.full:
                    self.say(f"cannot write {self.path}: {error.strerror}: going on without; measurements are kept in memory")
                self.full = True
                try:
                    if os.path.isfile(self.path):
                        self.rewrite_whole_lines()
                    self.file = open(self.path, "a", encoding="utf-8")
                except OSError:
                    pass
                return
            self.unsaved.pop(0)
        if self.full:
            self.say(f"{self.path} can be written again: nothing was lost")
            self.full = False

    def rewrite_whole_lines(self):
        with open(self.path, "rb+") as f:
            data = f.read()
            f.truncate(data.rfind(b"\n") + 1)

    def samples(self):
        return [r for r in self.records if r["type"] == "sample"]

    def failures(self):
        return [r for r in self.records if r["type"] == "failure"]

    def done(self, variant, rep):
        """Names that need no further run: measured, or failed."""
        return {r["program"] for r in self.records
                if r["type"] in ("sample", "failure") and r["variant"] == variant and r["rep"] == rep and r["program"] != "boot"}

import shutil
from pathlib import Path

import pytest

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.output import Output, Workplace, choose_output, is_complete


@pytest.mark.parametrize(
    ("path", "name", "expected", "is_file"),
    [
        ("a.csv", "", ("a.csv", "csv"), True),
        ("a.CSV", "csv", ("a.CSV", "csv"), True),
        ("a.ndjson", "", ("a.ndjson", "jsonl"), True),
        ("a.parquet", "", ("a.parquet", "parquet"), True),
        ("a.mcap", "", ("a.mcap", "mcap"), True),
        ("a.db3", "", ("a.db3", "sqlite3"), True),
        ("folder", "", ("folder", "mcap"), False),
        ("folder", "sqlite3", ("folder", "sqlite3"), False),
        ("table.txt", "csv", ("table.txt", "csv"), True),
        (None, "", ("drive_emotions", "mcap"), False),
        (None, "csv", ("drive_emotions.csv", "csv"), True),
        (None, "sqlite3", ("drive_emotions", "sqlite3"), False),
    ],
)
def test_choice(path: str | None, name: str, expected: tuple[str, str], is_file: bool) -> None:
    output = choose_output(Path(path) if path else None, name, Path("x/drive.mcap"), "mcap")
    assert (str(output.path), output.format, output.is_file) == (*expected, is_file)


@pytest.mark.parametrize(
    ("path", "name", "complaint"),
    [
        ("a.txt", "", "suffix of a.txt is unknown; use .csv .jsonl .ndjson .parquet .mcap .db3"),
        ("a.csv", "jsonl", "--format jsonl does not fit the suffix of a.csv"),
        (".", "", r"\. cannot be the result; name a file, or a folder for a bag"),
        ("..", "csv", r"\.\. cannot be the result"),
    ],
)
def test_wrong_choice(path: str, name: str, complaint: str) -> None:
    with pytest.raises(BagError, match=complaint):
        choose_output(Path(path), name, Path("drive"), "mcap")


class TestWorkplace:
    def open(
        self, path: Path, source: Path | None = None, *, resume: bool = False, over: bool = False
    ) -> Workplace:
        output = choose_output(path, "", Path("drive"), "mcap")
        workplace = Workplace(output, source or Path("drive"), resume=resume, overwrite=over)
        workplace.open()
        return workplace

    def test_result_appears_only_when_it_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        workplace = self.open(path)
        workplace.result_path.write_text("new")
        assert not path.exists()
        workplace.publish()
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    def test_what_exists_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("old")
        with pytest.raises(BagError, match="exists already; choose another name, or --overwrite"):
            self.open(path)
        assert path.read_text() == "old"

    def test_overwriting_replaces_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("old")
        workplace = self.open(path, over=True)
        workplace.result_path.write_text("new")
        assert path.read_text() == "old"
        workplace.publish()
        assert path.read_text() == "new"

    def test_unfinished_result(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        first = self.open(path)
        first.journal_path.write_text("journal")
        (first.folder / "bag").mkdir()
        first.close()
        with pytest.raises(BagError, match="--resume completes it, --overwrite begins anew"):
            self.open(path)
        second = self.open(path, resume=True)
        assert second.journal_path.exists()
        second.close()
        third = self.open(path, over=True)
        assert not third.journal_path.exists()
        assert not (third.folder / "bag").exists()

    @pytest.mark.parametrize("option", ["resume", "over"])
    def test_a_run_at_work_is_left_in_peace(self, tmp_path: Path, option: str) -> None:
        path = tmp_path / "a.csv"
        first = self.open(path)
        first.journal_path.write_text("journal")
        first.result_path.write_text("first")
        with pytest.raises(BagError, match=r"Another program is at work in .*a\.csv\.unfinished"):
            self.open(path, **{option: True})  # type: ignore[arg-type]
        assert first.journal_path.read_text() == "journal"
        first.publish()
        assert path.read_text() == "first"

    def test_a_finished_run_gives_way(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        first = self.open(path)
        first.result_path.write_text("first")
        first.publish()
        second = self.open(path, over=True)
        second.result_path.write_text("second")
        second.publish()
        assert path.read_text() == "second"

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_folder_that_somebody_took_away(self, tmp_path: Path, replaced: bool) -> None:
        path = tmp_path / "a.csv"
        first = self.open(path)
        first.result_path.write_text("first")
        shutil.rmtree(first.folder)
        if replaced:
            self.open(path, over=True).result_path.write_text("half of the sec")
        with pytest.raises(BagError, match="was removed or replaced while this program worked"):
            first.publish()
        assert not path.exists()
        assert first.folder.exists() == replaced

    @pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing"])
    def test_a_folder_replaces_a_file(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "result"
        target = tmp_path / "target"
        if kind == "file":
            path.write_text("old")
        else:
            path.symlink_to(target)
        if kind == "link to a file":
            target.write_text("of somebody else")
        workplace = self.open(path, over=True)
        workplace.result_path.mkdir()
        (workplace.result_path / "metadata.yaml").write_text("new")
        workplace.publish()
        assert (path / "metadata.yaml").read_text() == "new"
        assert target.exists() == (kind == "link to a file")

    def test_a_link_to_a_folder_is_refused_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "bag").mkdir()
        (tmp_path / "bag/metadata.yaml").write_text("old")
        (tmp_path / "link").symlink_to(tmp_path / "bag")
        output = Output(tmp_path / "link", "mcap")
        with pytest.raises(BagError, match=r"is a link to a folder; .* Name .*/bag$"):
            Workplace(output, Path("drive"), resume=False, overwrite=True)

    def test_a_linked_workplace_is_refused_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv.unfinished").symlink_to(tmp_path)
        output = Output(tmp_path / "a.csv", "csv")
        with pytest.raises(BagError, match="unfinished is a link; remove it"):
            Workplace(output, Path("drive"), resume=True, overwrite=False)

    def test_folders_that_are_no_bag_are_not_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "folder"
        path.mkdir()
        (path / "letter.txt").write_text("dear")
        (path / "metadata.yaml").write_text("")
        with pytest.raises(BagError, match=r"more than a bag \(letter.txt\)"):
            self.open(path, over=True)
        assert (path / "letter.txt").exists()

    @pytest.mark.parametrize("source", ["drive", "drive/drive.mcap"])
    def test_the_source_is_not_replaced(self, tmp_path: Path, source: str) -> None:
        (tmp_path / "drive").mkdir()
        (tmp_path / "drive/drive.mcap").touch()
        with pytest.raises(BagError, match="would replace its own source"):
            self.open(tmp_path / "drive", tmp_path / source, over=True)

    def test_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(BagError, match="does not exist; create it first"):
            self.open(tmp_path / "none/a.csv")

    @pytest.mark.parametrize("length", [250, 300], ids=["only unfinished", "always"])
    @pytest.mark.parametrize("resume", [False, True])
    def test_name_that_is_too_long(self, tmp_path: Path, length: int, resume: bool) -> None:
        path = tmp_path / ("x" * length)
        assert not is_complete(Output(path, "mcap"))
        with pytest.raises(BagError, match=r"cannot be written: File name too long\.$"):
            self.open(path, resume=resume)

    def test_link_to_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.symlink_to(path)
        workplace = self.open(path)
        workplace.result_path.write_text("new")
        workplace.publish()
        assert path.read_text() == "new"

    def test_device(self) -> None:
        with pytest.raises(BagError, match="/dev/null is no regular file"):
            Workplace(
                Output(Path("/dev/null"), "csv"), Path("drive"), resume=False, overwrite=True
            )

    def test_completeness(self, tmp_path: Path) -> None:
        output = Output(tmp_path / "a.csv", "csv")
        assert not is_complete(output)
        output.path.touch()
        assert is_complete(output)
        (tmp_path / "a.csv.unfinished").mkdir()
        assert not is_complete(output)

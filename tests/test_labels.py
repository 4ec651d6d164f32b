"""Label tables: found, read in every encoding, joined to pictures by name, and turned into attributes."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
import zipfile
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layouts import listing_of, write

from facesmith.errors import BadData
from facesmith.faces.layouts import read_listing
from facesmith.labels import attributes_of
from facesmith.labels.join import join_rows
from facesmith.labels.table_text import UnusableTable, kind_of_text, parse
from facesmith.storage.open_store import open_store

TWO = {"a.png": "", "b.png": ""}
THREE = {**TWO, "c.png": ""}


def values(listing):
    """Attribute values as lists, with None if unknown."""
    return {
        name: [None if isnan(value) else value for value in column.tolist()]
        for name, column in listing.attributes.items()
    }


# The four formats.

CELEBA_TABLES = {
    "count line": "3\nSmiling Male\na.png 1 -1\nb.png -1  1\nc.png -1 -1\n",
    "no count line": "Smiling Male\na.png 1 -1\nb.png -1  1\nc.png -1 -1\n",
    "name column": "image_id Smiling Male\na.png 1 -1\nb.png -1  1\nc.png -1 -1\n",
    "commas": "image_id,Smiling,Male\na.png,1,-1\nb.png,-1,1\nc.png,-1,-1\n",
    "commas and count line": "3\nimage_id,Smiling,Male\na.png,1,-1\nb.png,-1,1\nc.png,-1,-1\n",
    "commas and blanks": "image_id, Smiling, Male\r\na.png, 1, -1\r\nb.png, -1, 1\r\nc.png, -1, -1\r\n",
    "tabs": "\tSmiling\tMale\na.png\t1\t-1\nb.png\t-1\t1\nc.png\t-1\t-1\n",
    "blanks in the header, commas in the rows": "Smiling Male\na.png,1,-1\nb.png,-1,1\nc.png,-1,-1\n",
}


@pytest.mark.parametrize("file", ["list_attr_celeba.txt", "list_attr_celeba.csv", "CelebAMask-HQ-attribute-anno.txt"])
@pytest.mark.parametrize("table", CELEBA_TABLES)
def test_celeba_table_is_read_in_all_its_forms(tmp_path, table, file):
    listing = listing_of(tmp_path, {**THREE, file: CELEBA_TABLES[table]})
    assert listing.layout == "CelebA"
    assert values(listing) == {"smiling": [1, 0, 0], "male": [0, 1, 0]}
    assert listing.notices == []


def test_wrong_count_of_rows_is_a_notice(tmp_path):
    listing = listing_of(tmp_path, {**THREE, "list_attr_celeba.txt": "202599\nSmiling\na.png 1\nb.png -1\nc.png 1\n"})
    assert listing.notices == ["list_attr_celeba.txt: its first line says 202599 rows, but it has 3"]


def test_lfw_table_is_joined_by_person_and_number(tmp_path):
    table = (
        "# attributes v1.0\n#\tperson\timagenum\tMale\tMouth Open\n"
        "Ann Lee\t1\t-1.25\t0.5\nAnn Lee\t2\t-0.7\t-1e-2\nBob\t1\t2.5\t0\nZoe\t1\t1\t1\n"
    )
    pictures = {
        f"lfw/{person}/{person}_{number:04d}.jpg": "" for person, number in (("Ann_Lee", 1), ("Ann_Lee", 2), ("Bob", 1))
    }
    listing = listing_of(tmp_path, {**pictures, "lfw_attributes.txt": table})
    assert listing.layout == "LFW"
    assert values(listing) == {"male": [0, 0, 1], "mouth_open": [1, 0, None]}
    assert listing.persons == ["Ann_Lee", "Ann_Lee", "Bob"]
    assert listing.notices == [
        "lfw_attributes.txt: rows whose picture does not exist: 1, such as Zoe_0001.jpg",
        "numbers of both signs in male, mouth_open: positive is yes, negative is no",
    ]


def test_stylegan_labels_become_classes_or_columns(tmp_path):
    def of(labels):
        return listing_of(tmp_path, {**THREE, "dataset.json": json.dumps({"labels": labels})})

    assert values(of([["a.png", 0], ["b.png", 2], ["c.png", 5]])) == {
        "label=0": [1, 0, 0],
        "label=2": [0, 1, 0],
        "label=5": [0, 0, 1],
    }
    assert values(of([["a.png", 0], ["b.png", 1], ["c.png", None]])) == {"label": [0, 1, None]}
    assert values(of([["a.png", [1, 0]], ["b.png", [0, 1]], ["c.png", None]])) == {
        "label_0": [1, 0, None],
        "label_1": [0, 1, None],
    }
    assert values(of({"a.png": "cat", "b.png": "dog", "c.png": "cat"})) == {
        "label=cat": [1, 0, 1],
        "label=dog": [0, 1, 0],
    }
    assert values(of(None)) == {}


@pytest.mark.parametrize("name", ["file_name", "File Name", "image", "image_id", "filename", "Path", "anything"])
def test_metadata_names_its_pictures_in_any_of_the_usual_columns(tmp_path, name):
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": f"{name},glad\na.png,1\nb.png,0\n"})
    assert values(listing) == {"glad": [1, 0]}
    assert listing.notices == []


def test_index_column_before_the_file_names_is_no_obstacle(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": ",file_name,glad\n0,a.png,1\n1,b.png,0\n"})
    assert values(listing) == {"glad": [1, 0]}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "nested zip"])
@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("list_attr_celeba.csv", "image_id,Smiling\n000001.jpg,1\n000002.jpg,-1\n"),
        ("Anno/list_attr_celeba.txt", "2\nSmiling\n000001.jpg 1\n000002.jpg -1\n"),
        ("metadata.csv", "file_name,smiling\nimg/000001.jpg,1\nimg/000002.jpg,0\n"),
        ("img/metadata.csv", "file_name,smiling\n000001.jpg,1\n000002.jpg,0\n"),
        ("dataset.json", '{"labels": [["img/000001.jpg", 1], ["img/000002.jpg", 0]]}'),
    ],
)
def test_tables_are_found_in_folders_and_archives(tmp_path, kind, table, content):
    files = {"img/000001.jpg": "", "img/000002.jpg": "", table: content}
    root = write(tmp_path / "root", files)
    path = root
    if "zip" in kind:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in files:
                archive.write(root / name, name)
    elif kind == "tar.gz":
        path = tmp_path / "x.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, "celeba")
    if kind == "nested zip":
        path = tmp_path / "outer.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "x.zip", "inner/x.zip")
    listing = read_listing(open_store(path))
    assert list(values(listing).values()) == [[1, 0]]
    assert listing.notices == []


def test_table_and_pictures_in_different_archives_are_joined(tmp_path):
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/000001.jpg", "")
    with zipfile.ZipFile(tmp_path / "anno.zip", "w") as archive:
        archive.writestr("Anno/list_attr_celeba.txt", "1\nSmiling\n000001.jpg 1\n")
    assert values(read_listing(open_store(tmp_path))) == {"smiling": [1]}


def test_columns_of_parquet_files_are_labels(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for shard, start in enumerate((0, 2)):
        columns = {
            "image": [{"bytes": b"\xff\xd8\xff", "path": ""}] * 2,
            "age": [start, start + 1],
            "smiling": [True, False],
            "person": ["Ann", "Ben"],
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{shard}.parquet")
    write(tmp_path, {"extra/metadata.csv": "file_name,smiling\na.png,0\n", "extra/a.png": ""})
    listing = read_listing(open_store(tmp_path))
    assert len(listing.files) == 5
    assert values(listing)["smiling"] == [1, 0, 1, 0, 0]
    assert values(listing)["age=3"] == [0, 0, 0, 1, None]
    assert listing.persons == ["Ann", "Ben", "Ann", "Ben", None]


def test_an_index_that_pandas_adds_to_parquet_is_not_a_label(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"file_name": ["a.png", "b.png"], "smiling": [1, 0], "__index_level_0__": [7, 9]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "metadata.parquet")
    assert values(listing_of(tmp_path, TWO)) == {"smiling": [1, 0]}


# Tables that are not used.


@pytest.mark.parametrize(
    ("table", "content", "reason"),
    [
        ("metadata.csv", "", "it is empty"),
        ("metadata.csv", "file_name\n", "none of its 0 names belongs to one of the 2 pictures: it is empty"),
        ("metadata.csv", "file_name\nother.png\n", "the first is other.png, the first picture is a.png"),
        ("metadata.csv", 'file_name,x\na.png,"1\nb.png,0\n', "line 3: unexpected end of data"),
        ("dataset.json", "{", "it is not JSON"),
        ("dataset.json", "[" * 100_000, "it is not JSON"),
        ("dataset.json", "[1]", 'it has no "labels"'),
        ("dataset.json", '{"labels": 5}', 'it has no "labels"'),
        ("dataset.json", '{"labels": "abc"}', 'it has no "labels"'),
        ("dataset.json", '{"labels": [["a.png", [[1]]]]}', "neither a number nor text"),
        ("dataset.json", '{"labels": [[5, 1]]}', "not a list of [file name, label]"),
        ("dataset.json", '{"labels": [["a.png", [1]], ["b.png", [1, 2]]]}', "not all lists of one length"),
        ("dataset.json", '{"labels": [["a.png", [1]], ["b.png", 1]]}', "not all numbers"),
        ("dataset.json", '{"labels": [["a.png", []], ["b.png", []]]}', "its lists of labels are empty"),
        ("list_attr_celeba.txt", "", "it is empty"),
        ("list_attr_celeba.txt", "1\nSmiling\nz.png 1\n", "none of its 1 names"),
        ("lfw_attributes.txt", "a\tb\n1\t2\n", "lacks person and imagenum"),
        ("metadata.csv", b"\x1f\x8b\x08", "it is not a table, but: gzip"),
        ("dataset.json", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer (run: git lfs pull)"),
        ("labels.csv", "file,smiling\na.png,1\n", "rename it to metadata.csv, with a column file_name"),
        ("metadata.json", '[{"file_name": "a.png", "smiling": 1}]', "save it as metadata.jsonl, one record in each"),
        ("Labels.XLSX", b"PK\3\4", "save it as metadata.csv"),
        ("list_bbox_celeba.txt", "", "it has no attributes"),
    ],
)
def test_unusable_table_is_named_with_what_it_would_need(tmp_path, table, content, reason):
    listing = listing_of(tmp_path, {**TWO, table: content})
    assert [file.name for file in listing.files] == ["a.png", "b.png"]
    assert listing.attributes == {}
    (notice,) = listing.notices
    assert notice.startswith(f"{table} is not used: ")
    assert reason in notice
    assert "\n" not in notice
    assert list(listing.left_out) == [table]


def test_several_unusable_tables_are_to_be_joined(tmp_path):
    table = "file_name,smiling\na.png,1\n"
    listing = listing_of(tmp_path, {**TWO, "ages.csv": table, "smiles.csv": table, "other/labels.csv": table})
    joined = "join the tables of its folder into one metadata.csv, with a column file_name"
    assert listing.notices == [
        f"ages.csv is not used: {joined}",
        "other/labels.csv is not used: rename it to metadata.csv, with a column file_name",
        f"smiles.csv is not used: {joined}",
    ]


def test_of_several_formats_one_is_used_and_the_others_are_named(tmp_path):
    files = {
        **TWO,
        "metadata.csv": "file_name,glad\na.png,1\nb.png,0\n",
        "list_attr_celeba.csv": "image_id,Sad\na.png,1\n",
    }
    listing = listing_of(tmp_path, {**files, "dataset.json": '{"labels": [["a.png", 1]]}'})
    assert values(listing) == {"glad": [1, 0]}
    assert listing.notices == [
        "list_attr_celeba.csv is not used: metadata.csv is used instead",
        "dataset.json is not used: metadata.csv is used instead",
    ]
    (tmp_path / "metadata.csv").write_text("nothing\n")
    assert values(read_listing(open_store(tmp_path))) == {"sad": [1, None]}


def test_table_that_cannot_be_read_is_an_error(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("list_attr_celeba.csv", "image_id,Smiling\n")
        archive.writestr("a.png", "")
    path.write_bytes(path.read_bytes().replace(b"Smiling", b"Smilyng"))
    with pytest.raises(BadData, match=r"x\.zip: list_attr_celeba\.csv can't be read: damaged in the zip"):
        read_listing(open_store(path))


# Spreadsheets.

SHEET = [["file_name", "Größe", "glad"], ["ä.png", "groß", "1"], ["b, c.png", 'he said "no"', "0"]]


def as_text(rows, delimiter=",", end="\n"):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator=end).writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_separator_and_line_end_of_spreadsheets_is_read(tmp_path, encoding, delimiter, end):
    table = as_text(SHEET, delimiter, end).encode(encoding)
    listing = listing_of(tmp_path, {"ä.png": "", "b, c.png": "", "metadata.csv": table})
    found = values(listing)
    assert set(found) == {"größe=groß", "größe=he_said_no", "glad"}
    assert dict(zip([file.name for file in listing.files], found["glad"], strict=True)) == {"ä.png": 1, "b, c.png": 0}
    assert listing.notices == []


def test_line_that_names_the_separator_is_not_a_header(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": "sep=;\r\nfile_name;glad\r\na.png;1\r\nb.png;0\r\n"})
    assert values(listing) == {"glad": [1, 0]}


@pytest.mark.parametrize("separator", ['"', ""])
def test_a_line_that_names_no_possible_separator_is_skipped_as_a_title(separator):
    table = parse(f"sep={separator}\r\nfile_name,glad\r\na.png,1\r\n".encode())
    assert (table.columns, table.rows) == (["file_name", "glad"], [["a.png", "1"]])


def test_decimal_commas_are_numbers(tmp_path):
    table = "file_name;size;sign\na.png;0,5;-1,5\nb.png;1,25;0,5\n"
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": table})
    assert values(listing) == {"size": [0.5, 1.25], "sign": [0, 1]}


def test_huge_cells_quoted_lines_zero_bytes_and_ragged_rows_are_read(tmp_path):
    table = (
        'file_name,note,glad\n\n,,\na.png,"two\nlines",1\n'
        + f"b.png,{'x' * 300_000},0\0\n"
        + "c.png,short\n"
        + "d.png,one,1,,\n"
        + "e.png,un,quoted,1\n"
    )
    pictures = {f"{name}.png": "" for name in "abcde"}
    listing = listing_of(tmp_path, {**pictures, "metadata.csv": table})
    assert values(listing) == {"glad": [1, 0, None, 1, None]}
    assert listing.notices == [
        "metadata.csv: 1 zero bytes are ignored",
        "metadata.csv: 1 rows have more cells than there are columns and are skipped, first the row of e.png",
        "1 of 5 pictures have no row in metadata.csv",
        "columns that are not attributes: note (texts of more than 60 characters)",
    ]
    assert csv.field_size_limit() == 131_072


def test_quotes_in_a_table_with_tabs_may_mean_nothing():
    assert parse(b'file_name\tname\na.png\t"Al" Smith\nb.png\t"\n').rows == [["a.png", '"Al" Smith'], ["b.png", '"']]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_table_or_a_reason(raw, blanks):
    try:
        table = parse(raw, blanks=blanks)
    except UnusableTable as reason:
        assert str(reason)
        return
    assert all(len(row) == len(table.columns) for row in table.rows)


TITLES = {
    "line of separators": "Survey 2024;;;\n;;;\n",
    "text alone": "Survey 2024\n\n",
    "two lines": "Survey 2024\nMade by Ann\n",
    "quoted": '"Survey; 2024";;;\n',
    "sep=": "sep=;\nSurvey 2024\n",
}


@pytest.mark.parametrize("title", TITLES)
def test_titles_above_the_names_of_columns_are_skipped(title):
    table = parse((TITLES[title] + "Datei;Smiling;Age\na.png;1;31\nb.png;0;22\n").encode())
    assert table.columns == ["Datei", "Smiling", "Age"]
    assert table.rows == [["a.png", "1", "31"], ["b.png", "0", "22"]]
    assert "is skipped as a title" in table.notices[0]


@pytest.mark.parametrize("header", [",smiling", "file_name", "image_id,", "Datei,smiling"])
def test_names_of_columns_are_never_a_title(header):
    table = parse(f"{header}\na.png,1\nb.png,0\n".encode())
    assert ",".join(table.columns) == header


CELLS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cf"]), max_size=8)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-16"]))
def test_what_a_spreadsheet_writes_is_read_back(rows, delimiter, encoding):
    table = parse(as_text([("file_name", "x"), *rows], delimiter).encode(encoding))
    assert [tuple(row) for row in table.rows] == [row for row in rows if any(row)]


FUZZED = {
    "dataset.json": '{"labels": [["a.png", 1], ["b.png", [1, 0]], ["c.png", null], ["a.png", "x"]]}',
    "list_attr_celeba.txt": "2\nSmiling Male\na.png 1 -1\nb.png -1 1\n",
    "identity_CelebA.txt": "a.png 1\nb.png 2\n",
    "lfw_attributes.txt": "#\tperson\timagenum\tMale\nAnn Lee\t1\t.5\nAnn Lee\t2\t-.5\n",
    "metadata.csv": 'file_name;x;"y z"\na.png;"1\n2";0,5\nb.png;;"q"\n',
}


@pytest.mark.slow
@pytest.mark.parametrize("table", FUZZED)
def test_damaged_tables_never_cost_a_picture(tmp_path, table):
    rng = random.Random(table)
    write(tmp_path, {**THREE, **({"list_attr_celeba.txt": CELEBA_TABLES["commas"]} if "identity" in table else {})})
    for _ in range(500):
        raw = bytearray(FUZZED[table].encode(rng.choice(["utf-8", "utf-16"])))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(raw) + 1)
            inserted = bytes(rng.choices(b'"\n\r,;\t# \0[]{}-.e9\xff', k=rng.randint(0, 9)))
            raw[at : at + rng.randint(0, 8)] = inserted
        (tmp_path / table).write_bytes(raw)
        listing = read_listing(open_store(tmp_path))
        assert {*THREE} <= {file.name for file in listing.files}  # a damaged table may look like a picture
        assert all(len(column) == len(listing.files) for column in listing.attributes.values())
        assert all("\n" not in notice for notice in listing.notices)


# Joining by name.


@pytest.mark.parametrize(
    ("key", "picture"),
    [
        ("x/a.jpg", "x/a.jpg"),
        ("./x/../x/a.jpg", "x/a.jpg"),
        ("x\\a.jpg", "x/a.jpg"),
        ("C:\\Users\\me\\x\\a.jpg", "x/a.jpg"),
        ("/home/me/a.jpg", "x/a.jpg"),
        ("a.jpg", "x/a.jpg"),
        ("a", "x/a.jpg"),
        ("x/a", "x/a.jpg"),
        ("A.JPG", "x/a.jpg"),
        ("a.png", "x/a.jpg"),
        ("a.b", "x/a.b.jpg"),
        ("u\u0308.jpg", "\u00fc.jpg"),
        ("\u00fc.jpg", "u\u0308.jpg"),
        ("STRASSE.jpg", "straße.jpg"),
        ("caf\udce9.jpg", "café.jpg"),
        ("caf\udce9.jpg", "caf\udce9.jpg"),
    ],
)
def test_names_are_compared_without_folder_ending_case_and_form(key, picture):
    assert join_rows([key], ["other/z.jpg", picture], "").row_of == {1: 0}


def test_name_that_fits_several_pictures_belongs_to_none():
    join = join_rows(["a.jpg", "a"], ["x/a.jpg", "y/a.jpg"], "")
    assert (join.row_of, join.ambiguous) == ({}, ["a.jpg", "a"])
    join = join_rows(["set/y/a.jpg"], ["x/a.jpg", "data/y/a.jpg"], "")
    assert join.row_of == {1: 0}
    join = join_rows(["train/1.jpg", "val/1.jpg"], ["test/1.jpg"], "")
    assert (join.row_of, sorted(join.ambiguous)) == ({}, ["train/1.jpg", "val/1.jpg"])


def test_more_exact_name_wins_then_the_first_row():
    join = join_rows(["A.jpg", "a.png", "a.jpg", "a.jpg", ""], ["a.jpg"], "")
    assert join.row_of == {0: 2}
    assert sorted(join.repeated) == ["A.jpg", "a.jpg", "a.png"]
    assert join.unnamed == 1


def test_table_describes_its_own_folder_only(tmp_path):
    files = {"train/metadata.csv": "file_name,glad\na.png,1\nb.png,1\n", "train/a.png": "", "test/b.png": ""}
    listing = listing_of(tmp_path, files)
    assert values(listing) == {"glad": [None, 1]}
    assert listing.notices == [
        "train/metadata.csv: rows whose picture does not exist: 1, such as b.png",
        "1 of 2 pictures have no row in train/metadata.csv",
    ]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text("ab./\\Ä", max_size=6), max_size=8),
    st.lists(st.text("ab./Ä", min_size=1, max_size=6), min_size=1, max_size=6, unique=True),
)
def test_every_row_is_counted_once(keys, pictures):
    join = join_rows(keys, pictures, "")
    counted = join.unnamed + len(join.unmatched) + len(join.ambiguous) + len(join.repeated) + len(join.row_of)
    assert counted == len(keys)


# Columns to attributes.


def attributes(*cells, convention=""):
    found = attributes_of({"x": cells}, convention)
    return {
        name: [None if isnan(value) else value for value in column.tolist()] for name, column in found.values.items()
    }


def test_yes_and_no_are_written_in_many_ways():
    for yes, no in (("1", "0"), ("1", "-1"), ("True", "FALSE"), ("yes", "No"), ("1.0", "0.0"), ("+1", "-1.0")):
        assert attributes(yes, no, "") == {"x": [1, 0, None]}
    assert attributes("1", "0", "-1") == {"x": [1, None, 0]}
    assert attributes("1", "n/a", "NaN", "#N/A", "inf") == {"x": [1, None, None, None, None]}


def test_texts_and_codes_become_one_attribute_per_class():
    assert attributes("30-39", "70+", "30-39", "") == {"x=30-39": [1, 0, 1, None], "x=70+": [0, 1, 0, None]}
    assert attributes("East Asian", "east asian", "Latino, Hispanic") == {
        "x=east_asian": [1, 1, 0],
        "x=latino_hispanic": [0, 0, 1],
    }
    assert list(attributes(*map(str, range(11)))) == [f"x={i}" for i in range(11)]
    assert list(attributes("1.0", "2.0", "")) == ["x=1", "x=2"]
    assert list(attributes("3", "7", convention="codes")) == ["x=3", "x=7"]


def test_numbers_stay_numbers_and_signs_mean_yes_or_no():
    assert attributes("20", "30", "41") == {"x": [20, 30, 41]}
    assert attributes("0.5", "0.25") == {"x": [0.5, 0.25]}
    assert attributes("-1", "31", "40") == {"x": [-1, 31, 40]}
    assert attributes("0.5", "-0.25", "0") == {"x": [1, 0, None]}
    assert attributes("0.5", "0.25", convention="signed") == {"x": [1, 1]}


def test_columns_that_are_no_attributes_are_left_out_with_the_reason():
    cells = {"name": [f"person {i}" for i in range(100)], "camera": ["x"] * 100, "text": ["a", "b" * 80] * 50}
    found = attributes_of(cells)
    assert found.values == {}
    assert found.left_out == {
        "name": "100 different texts, more than 64 classes",
        "camera": "x is its only value",
        "text": "texts of more than 60 characters",
    }


def test_texts_that_differ_from_picture_to_picture_are_not_taken_for_classes():
    notes = [f"at the beach, no. {i}" for i in range(20)]
    found = attributes_of({"notes": notes, "few": [*notes[:10], *[""] * 10]})
    assert found.left_out == {"notes": "20 different texts, fewer than two pictures for each, as of names or notes"}
    assert len(found.values) == 10  # few classes may be rare
    assert len(attributes_of({"camera": [f"camera {i % 11}" for i in range(22)]}).values) == 11
    assert len(attributes_of({"label": [f"{i}" for i in range(20)]}).values) == 20  # codes of classes


def test_repeated_columns_are_named(tmp_path):
    table = "file_name,Glad,glad,label_2,label\na.png,1,0,1,2\nb.png,0,1,0,1\n"
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": table})
    assert values(listing) == {"glad": [1, 0], "label_2": [1, 0], "label=1": [0, 1]}
    assert listing.notices == [
        "metadata.csv: column glad occurs twice, and the first is used",
        "columns that are not attributes: label=2 (again) (an earlier column has this name)",
    ]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text("01-,. yesno", max_size=4), min_size=1, max_size=30))
def test_classes_of_a_column_exclude_each_other(cells):
    found = attributes_of({"x": cells})
    classes = [column for name, column in found.values.items() if "=" in name]
    if classes:
        total = np.stack(classes).sum(0)
        assert set(total[~np.isnan(total)].tolist()) == {1.0}
    assert bool(found.values) != bool(found.left_out)


def test_spreadsheet_that_is_named_like_a_table_is_named_in_a_notice(tmp_path):
    write(tmp_path, TWO)
    with zipfile.ZipFile(tmp_path / "metadata.csv", "w") as spreadsheet:
        spreadsheet.writestr("[Content_Types].xml", "<Types/>")
        spreadsheet.writestr("xl/media/image1.png", "")
    listing = read_listing(open_store(tmp_path))
    assert [file.name for file in listing.files] == ["a.png", "b.png"]
    reason = "it is not a table, but: Office document; expected text with columns, such as file_name,smiling"
    assert listing.notices == [f"metadata.csv is not used: {reason}"]


def test_classes_that_get_the_same_name_or_none_are_named_in_a_notice():
    cells = ["A, B", "a=b", "a b", "A B", "C", "c ", "\N{GRINNING FACE}", "?"]
    attributes = attributes_of({"g": cells})
    assert set(attributes.values) == {"g=a_b", "g=c"}
    assert attributes.notices == [
        "g: values without letters or digits count as unknown: '\N{GRINNING FACE}'",
        "g: these values count as one class, a_b: 'A, B', 'a=b', 'a b'",
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Office document"),
        (b"SQLite format 3\0" + bytes(90), "SQLite"),
    ],
)
def test_a_file_of_another_program_is_not_called_an_empty_table(tmp_path, content, kind):
    (notice,) = listing_of(tmp_path, {**TWO, "metadata.csv": content}).notices
    assert f"it is not a table, but: {kind}" in notice


def test_a_table_without_column_names_is_not_used(tmp_path):
    (notice,) = listing_of(tmp_path, {**TWO, "metadata.csv": "a.png,1\nb.png,0\n"}).notices
    assert "its first line names the picture a.png; write the names of the columns above it" in notice
    assert notice.endswith("file_name,label")


def test_a_column_that_is_called_like_a_picture_names_the_pictures(tmp_path):
    listing = listing_of(
        tmp_path, {"image.png": "", "a.png": "", "metadata.csv": "image,smiling\nimage.png,1\na.png,0\n"}
    )
    assert values(listing) == {"smiling": [0, 1]}


def test_a_very_long_column_name_is_cut(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": f"file_name,{'w' * 9999}\na.png,1\nb.png,0\n"})
    assert list(listing.attributes) == ["w" * 100]


def test_a_column_without_values_is_named_and_left_out(tmp_path):
    table = "file_name,smiling,empty,unclear,huge\na.png,1,,unknown,1e999\nb.png,0,,?,\n"
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": table})
    assert list(listing.attributes) == ["smiling"]
    assert any("empty (unknown for all), unclear (unknown for all), huge" in notice for notice in listing.notices)


def test_y_and_n_are_yes_and_no(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "metadata.csv": "file_name,smiling\na.png,Y\nb.png,n\n"})
    assert values(listing) == {"smiling": [1, 0]}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{\\rtf1\\ansi file_name,smiling\\par a.png,1}", "RTF document"),
        (b"%PDF-1.7\nfile_name,smiling\na.png,1\n", "PDF"),
        (b'[{"file_name": "a.png", "smiling": 1}]', "JSON"),
        (b'{\n  "a.png": {"smiling": 1}\n}', "JSON"),
        (random.Random(0).randbytes(3000), "binary data"),
        (bytes(3000), "binary data"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    ],
)
@pytest.mark.parametrize("name", ["metadata.csv", "metadata.tsv", "list_attr_celeba.txt"])
def test_a_file_that_is_no_table_is_named_with_what_it_is(tmp_path, content, kind, name):
    listing = listing_of(tmp_path, {**TWO, name: content})
    reason = (
        f"{name} is not used: it is not a table, but: {kind}; expected text with columns, such as file_name,smiling"
    )
    assert reason in listing.notices
    assert not listing.attributes


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_texts_of_all_languages_are_not_called_binary(text):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert kind_of_text(f"file_name,{text}\na.png,1\n".encode(encoding)).name != "binary data"


def test_labels_in_one_file_per_picture_are_read(tmp_path):
    """As a WebDataset has them: 000.jpg with 000.json or 000.cls."""
    files = {
        "a.cls": "1",
        "a.json": '{"smiling": true, "age": 31.5, "box": [1, 2]}',
        "b.cls": "0\n",
        "b.json": '{"smiling": false}',
        "c.json": "[1]",
        "other.json": '{"smiling": 1}',
    }
    with tarfile.open(tmp_path / "00000.tar", "w") as archive:
        for name, text in {**THREE, **files}.items():
            content = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for data in (tmp_path / "00000.tar", tmp_path):
        listing = read_listing(open_store(data))
        assert listing.layout == "WebDataset"
        assert values(listing) == {"class": [1, 0, None], "smiling": [1, 0, None], "age": [31.5, None, None]}
        notices = " ".join(listing.notices)
        assert "1 label files can't be used" in notices
        assert "c.json" in notices
        assert "lists are not labels: box" in notices
        assert "1 of 3 pictures have no row" in notices
        assert "1 .json" in notices  # other.json


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({**TWO, "metadata.csv": "file_name,hat\na.png,1\nb.png,0\n"}, "metadata.csv is"),
        ({"serious/a.png": "", "smiling/b.png": ""}, "the names of the folders are"),
    ],
)
def test_tables_and_folders_come_before_labels_in_one_file_per_picture(tmp_path, files, used):
    sidecars = {name.replace(".png", ".json"): '{"age": 31.5}' for name in files if name.endswith(".png")}
    listing = listing_of(tmp_path, {**files, **sidecars})
    assert "age" not in listing.attributes
    assert f"{min(sidecars)} is not used: {used} used instead of 2 files with labels of one picture" in listing.notices


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234", "12,500", "1,000,000", "n/a"], [1234, 12500, 1000000, None]),
        (["1.234.567", "2.500", "7", "12"], [1234567, 2500, 7, 12]),
        (["1,234.50", "2.5", "3", "4.75"], [1234.5, 2.5, 3, 4.75]),
        (["1.234,50", "2.345,75", "3", "4"], [1234.5, 2345.75, 3, 4]),
        (["1,234", "2,5", "3,75", "4,1"], [1.234, 2.5, 3.75, 4.1]),  # decimal commas
    ],
)
def test_marks_of_thousands_are_recognized_where_they_are_certain(cells, expected):
    values = attributes_of({"income": cells}).values
    assert list(values) == ["income"]
    assert [None if isnan(value) else pytest.approx(value) for value in values["income"].tolist()] == expected


def test_a_column_of_percentages_has_numbers_and_one_of_texts_classes():
    values = attributes_of({"confidence": ["95 %", "7,5%", "", "100%"], "note": ["95 %", "old", "new", "old"]}).values
    assert values["confidence"][[0, 1, 3]].tolist() == [95, 7.5, 100]
    assert isnan(values["confidence"][2])
    assert [name for name in values if name != "confidence"] == ["note=95_%", "note=new", "note=old"]


def test_of_two_tables_that_differ_in_capitals_the_usual_name_wins(tmp_path):
    tables = {
        "Metadata.CSV": "file_name,beard\na.png,1\nb.png,0\n",
        "metadata.csv": "file_name,hat\na.png,1\nb.png,0\n",
    }
    listing = listing_of(tmp_path, {**TWO, **tables})
    assert list(listing.attributes) == ["hat"]
    assert any("Metadata.CSV: rows that are not used" in notice for notice in listing.notices)


def test_archives_are_not_taken_for_classes_whatever_their_names(tmp_path):
    for name in ("one.cbz", "two.backup", "three"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.png", name)
    assert read_listing(open_store(tmp_path)).attributes == {}


def test_folders_without_letters_or_digits_are_named(tmp_path):
    listing = listing_of(tmp_path, {"\U0001f600/a.png": "1", "hat/b.png": "2", "beard/c.png": "3"})
    assert sorted(listing.attributes) == ["beard", "hat"]
    assert "folders without letters or digits are not classes: \U0001f600" in listing.notices

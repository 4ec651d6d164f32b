from __future__ import annotations

import json
import os
import zipfile
from math import isnan

import pytest

from facesmith.detection.align import Alignment
from facesmith.errors import BadData, FacesmithError
from facesmith.faces.layouts import GEOMETRY_COLUMNS, read_listing
from facesmith.photos.faces_folder import COLUMNS
from facesmith.photos.journal import JOURNAL_NAME
from facesmith.procedural import write_faces
from facesmith.storage.open_store import open_store

ALIGNED = Alignment(64).to_values()


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def listing_of(root, files):
    return read_listing(open_store(write(root, files)))


def names(listing):
    return [file.name for file in listing.files]


def same(a, b):
    a, b = list(a), list(b)
    return all((isnan(x) and isnan(y)) or x == y for x, y in zip(a, b, strict=True))


NAN = float("nan")
TWO = {"a.png": "", "b.png": ""}


def test_folder_of_pictures_needs_no_table(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "notes.txt": "", "deep/C.JPG": ""})
    assert names(listing) == ["a.png", "b.png", "deep/C.JPG"]
    assert listing.persons == [None] * 3


def test_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(BadData, match="has no pictures among its 1 files"):
        listing_of(tmp_path, {"notes.txt": ""})


def test_procedural_faces_have_attributes_without_geometry_columns(tmp_path):
    listing = read_listing(open_store(write_faces(tmp_path / "faces", 3)))
    assert listing.layout == "metadata.csv"
    assert "smiling" in listing.attributes
    assert not GEOMETRY_COLUMNS & set(listing.attributes)


def test_all_columns_of_extract_are_geometry_columns():
    assert set(COLUMNS) <= GEOMETRY_COLUMNS


def test_extraction_has_its_alignment_and_the_persons_of_its_sources(tmp_path):
    table = "file_name,source,blur,smiling\n000001.png,lfw/Ann/Ann_0001.jpg,3,1\n000002.png,video.mp4#000010,4,\n"
    extra = {
        "rejected.csv": "source,reason\n",
        "report.html": "<!DOCTYPE html>",
        "faces.json": json.dumps({"alignment": ALIGNED}),
    }
    listing = listing_of(tmp_path, {"metadata.csv": table, "000001.png": "", "000002.png": "", **extra})
    assert listing.layout == "extracted faces"
    assert listing.header["alignment"] == ALIGNED
    assert listing.persons == ["Ann", None]
    assert list(listing.attributes) == ["smiling"]
    assert same(listing.attributes["smiling"], [1.0, NAN])
    assert listing.notices == []


def test_pictures_deleted_by_hand_are_skipped_with_a_notice(tmp_path):
    out = write_faces(tmp_path / "faces", 5)
    (out / "000002.png").unlink()
    listing = read_listing(open_store(out))
    assert len(listing.files) == 4
    assert listing.notices == ["metadata.csv: rows whose picture does not exist: 1, such as 000002.png"]


def test_table_written_by_a_spreadsheet_is_read(tmp_path):
    head, first = "\ufefffile_name , smiling,name,glad,person", 'a.png,1,"x\ny",True,Ann'
    table = "\r\n".join([head, first, "", ".\\b.png,,z,FALSE", "a.png,0,,,", "c.png", ""])
    listing = listing_of(tmp_path, {**TWO, "c.png": "", "unlisted.png": "", "metadata.csv": table})
    assert names(listing) == ["a.png", "b.png", "c.png", "unlisted.png"]
    assert set(listing.attributes) == {"smiling", "glad", "name=x_y", "name=z"}
    assert same(listing.attributes["smiling"], [1.0, NAN, NAN, NAN])
    assert same(listing.attributes["glad"], [1.0, 0.0, NAN, NAN])
    assert listing.persons == ["Ann", None, None, None]
    assert listing.notices == [
        "metadata.csv: rows that are not used, because an earlier row has the same picture: 1, such as a.png",
        "1 of 4 pictures have no row in metadata.csv",
    ]


def test_tables_in_subfolders_describe_their_own_pictures(tmp_path):
    files = {
        "train/metadata.csv": "file_name,smiling\na.png,1\n",
        "train/a.png": "",
        "test/metadata.csv": "male,file_name\n1,a.png\n",
        "test/a.png": "",
    }
    listing = listing_of(tmp_path, files)
    assert names(listing) == ["test/a.png", "train/a.png"]
    assert same(listing.attributes["smiling"], [NAN, 1.0])
    assert same(listing.attributes["male"], [1.0, NAN])
    assert listing.notices == []


def test_mixed_alignments_are_unknown(tmp_path):
    files = {}
    for folder, size_px in (("a", 64), ("b", 128)):
        files |= {f"{folder}/metadata.csv": "file_name\nx.png\n", f"{folder}/x.png": ""}
        files |= {f"{folder}/faces.json": json.dumps({"alignment": Alignment(size_px).to_values()})}
    listing = listing_of(tmp_path, files)
    assert listing.header == {}
    assert "different alignments" in listing.notices[0]


def test_accents_match_in_every_unicode_form(tmp_path):
    listing = listing_of(tmp_path, {"u\u0308.png": "", "metadata.csv": "file_name\n\u00fc.png\n"})
    assert len(listing.files) == 1


def test_names_that_are_not_utf8_match_their_rows(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb"):
        pass
    listing = listing_of(tmp_path, {"metadata.csv": b"file_name,smiling\n\xff.png,1\n"})
    assert listing.attributes["smiling"].tolist() == [1.0]


def test_interrupted_extraction_gives_a_notice(tmp_path):
    assert "interrupted" in listing_of(tmp_path, {**TWO, JOURNAL_NAME: "{}"}).notices[0]


def test_lfw_folders_are_persons(tmp_path):
    listing = listing_of(tmp_path, {"lfw/Ann/Ann_0001.jpg": "", "lfw/Bob/Bob_0001.jpg": "", "lfw/Bob/Bob_0002.jpg": ""})
    assert listing.layout == "LFW"
    assert listing.persons == ["Ann", "Bob", "Bob"]
    assert listing.attributes == {}


def test_other_folders_are_classes(tmp_path):
    listing = listing_of(tmp_path, {"cat/1.png": "", "dog/1.png": "", "dog/2.png": "", "root.png": ""})
    assert listing.layout == "class folders"
    assert {name: column.tolist() for name, column in listing.attributes.items()} == {
        "cat": [1, 0, 0, 0],
        "dog": [0, 1, 1, 0],
    }


def test_archives_and_parent_folders_are_no_classes(tmp_path):
    for number in (1, 2):
        with zipfile.ZipFile(tmp_path / f"part{number}.zip", "w") as archive:
            archive.writestr(f"{number}.png", "")
            archive.writestr(f"../{number}{number}.png", "")
            archive.writestr(f"cat/{number}{number}{number}.png", "")
            archive.writestr(f"dog/{number}.png", "")
    assert list(read_listing(open_store(tmp_path)).attributes) == ["cat", "dog"]


def test_one_folder_beside_other_pictures_is_no_class(tmp_path):
    listing = listing_of(tmp_path, {"a.png": "", "album/b.png": "", "album/c.png": ""})
    assert listing.layout == "pictures"
    assert listing.attributes == {}
    assert listing.notices == ["the folder album is not a class, because there is no other one"]


@pytest.mark.parametrize(
    "albums",
    [
        ("2019", "2020"),
        ("2019-07 Paris", "20200102"),
        ("100CANON", "101_PANA"),
        ("DCIM/100APPLE", "2021"),
        ("Photos from 2019", "Paris, May 4, 2019"),
        ("Camera", "Screenshots", "WhatsApp Images"),
    ],
)
def test_albums_of_dates_and_cameras_are_no_classes(tmp_path, albums):
    listing = listing_of(tmp_path, {f"{album}/{i}.png": "" for album in albums for i in range(3)})
    assert listing.attributes == {}
    example = min(album.rpartition("/")[2] for album in albums)
    assert listing.notices == [f"folders with names of dates or cameras, such as {example}, are not classes"]


@pytest.mark.parametrize(
    "names", [("00000/img00000999.png", "00001/img00001000.png"), ("00000/00000.png", "69000/69999.png")]
)
def test_folders_of_a_thousand_pictures_are_no_classes(tmp_path, names):
    listing = listing_of(tmp_path, dict.fromkeys(names, ""))
    assert listing.attributes == {}
    assert listing.notices == ["folders of a thousand pictures each, such as 00000, are not classes"]


@pytest.mark.parametrize(
    "folders", [("0", "1"), ("20", "30"), ("2019", "smiling"), ("20193", "20201"), ("100", "200"), ("00000", "00001")]
)
def test_other_numbers_are_classes(tmp_path, folders):
    listing = listing_of(tmp_path, {f"{folder}/{i}.png": "" for folder in folders for i in range(3)})
    assert set(listing.attributes) == set(folders)


@pytest.mark.parametrize("other", ["log.jsonl", "model.safetensors", "state.pt"])
def test_run_folders_among_faces_are_left_aside(tmp_path, other):
    run = {
        f"runs/first/{name}": "" for name in ("run.json", other, "curves.png", "samples/000000100.png", "losses.csv")
    }
    listing = listing_of(tmp_path, {"a.png": "", "b.png": "", "notes/run.json": "", "notes/c.png": "", **run})
    assert [file.name for file in listing.files] == ["a.png", "b.png", "notes/c.png"]
    assert "files that are not pictures are ignored (5 in a run folder, 1 empty file)" in listing.notices


def test_a_run_folder_in_place_of_faces_is_named(tmp_path):
    with pytest.raises(BadData, match="is the folder of a training run, not of faces"):
        listing_of(tmp_path, {"run.json": "{}", "log.jsonl": "{}", "curves.png": ""})


def test_too_many_folders_and_folders_with_one_name_give_a_notice(tmp_path):
    many = listing_of(tmp_path / "many", {f"album {i}/a.png": "" for i in range(65)})
    assert many.layout == "pictures"
    assert many.notices == ["65 folders are not classes, because they are more than 64"]
    same = listing_of(tmp_path / "same", {"A b/1.png": "", "a_b/2.png": "", "c/3.png": ""})
    assert set(same.attributes) == {"a_b", "c"}
    assert same.notices == ["the folders A b, a_b are one class, a_b"]


def test_extraction_without_its_table_is_named(tmp_path):
    listing = listing_of(tmp_path, {**TWO, "faces.json": "{}"})
    assert "faces.json is not used" in listing.notices[0]


def test_a_file_that_git_lfs_did_not_download_is_named(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    with pytest.raises(BadData, match=r"faces.json is a Git LFS pointer. Download it: git lfs pull"):
        listing_of(tmp_path, {**TWO, "metadata.csv": "file_name\na.png\n", "faces.json": pointer})


def test_class_whose_pictures_have_its_name_is_not_a_person(tmp_path):
    files = {f"{name}/{name}_{i:04d}.png": "" for name in ("smiling", "sad") for i in range(150)}
    listing = listing_of(tmp_path, files)
    assert listing.layout == "class folders"
    assert set(listing.persons) == {None}


def test_class_whose_photos_had_its_name_is_not_a_person_after_extraction(tmp_path):
    sources = [f"{name}/{name}_{i:04d}.jpg" for name in ("male", "female") for i in range(101)]
    lines = [f"{i:06d}.png,{source}" for i, source in enumerate(sources)]
    files = {f"{i:06d}.png": "" for i in range(len(sources))}
    listing = listing_of(tmp_path, {**files, "metadata.csv": "\n".join(["file_name,source", *lines])})
    assert set(listing.persons) == {None}


CELEBA = "4\nSmiling Male\na.png 1 -1\nb.png -1  1\nc.png 1 1\nd.png -1 -1\n"


def test_celeba_attributes_and_identities_are_read(tmp_path):
    files = {"img/a.png": "", "img/b.png": "", "other.png": "", "Anno/list_attr_celeba.txt": CELEBA}
    listing = listing_of(tmp_path, {**files, "Anno/identity_CelebA.txt": "a.png 2880\nz.png 1\n"})
    assert listing.layout == "CelebA"
    assert same(listing.attributes["smiling"], [1, 0, NAN])
    assert same(listing.attributes["male"], [0, 1, NAN])
    assert listing.persons == ["2880", None, None]
    assert len(listing.notices) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "faces.json can't be used: it is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "it is a list of 1; expected an object"),
        ('{"x": ' + "9" * 5000 + "}", "5000 digits"),
    ],
)
def test_unusable_header_is_an_error_of_one_line(tmp_path, content, message):
    with pytest.raises(BadData) as caught:
        listing_of(tmp_path, {**TWO, "metadata.csv": "file_name\na.png\nb.png\n", "faces.json": content})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_pictures_that_extract_did_not_write_are_no_faces(tmp_path):
    header = json.dumps({"alignment": {"layout": "eyes-nose-mouth-2", "size": 64, "frame": 3.48}})
    files = {**TWO, "metadata.csv": "file_name,smiling\na.png,1\n", "faces.json": header}
    listing = listing_of(tmp_path, files)
    assert names(listing) == ["a.png"]
    assert listing.attributes["smiling"].tolist() == [1]
    assert listing.notices == [
        "1 of 2 pictures have no row in metadata.csv",
        "pictures without a row are skipped, because extract did not write them",
    ]


def test_error_names_the_table_in_a_damaged_zip(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.csv", "file_name\na.png\n")
        archive.writestr("a.png", "")
    path.write_bytes(path.read_bytes().replace(b"file_name\na", b"file_nume\na"))
    with pytest.raises(FacesmithError, match=r"x\.zip: metadata.csv can't be read: damaged in the zip"):
        read_listing(open_store(path))


def test_zip_of_a_folder_reads_like_the_folder(tmp_path):
    out = write_faces(tmp_path / "faces", 3)
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for file in out.iterdir():
            archive.write(file, f"faces/{file.name}")
    folder, zipped = (read_listing(open_store(path)) for path in (out, tmp_path / "faces.zip"))
    assert zipped.attributes.keys() == folder.attributes.keys()
    assert all(same(zipped.attributes[name], column) for name, column in folder.attributes.items())

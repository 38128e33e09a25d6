"""Bounds of the store of uploaded files, on Streamlit's own store."""

import pytest
from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.parts.app.upload_store import bound


def file(name, size):
    return UploadedFileRec(name, name, "text/plain", b"x" * size)


def test_files_beyond_the_bounds_are_refused_and_removed_files_make_room():
    store = MemoryUploadedFileManager("/upload")
    bound(store, 10, 15)
    store.add_file("one", file("a", 6))
    store.add_file("one", file("b", 4))
    with pytest.raises(HTTPException, match="Your uploads would take more than 1e-05 MB") as refused:
        store.add_file("one", file("c", 1))
    assert refused.value.status_code == 413
    store.add_file("two", file("d", 5))
    with pytest.raises(HTTPException, match="This server holds as many uploads as it can") as refused:
        store.add_file("two", file("e", 1))
    assert refused.value.status_code == 507
    assert {name: set(files) for name, files in store.file_storage.items()} == {"one": {"a", "b"}, "two": {"d"}}
    store.remove_file("one", "b")
    store.add_file("two", file("e", 4))
    store.remove_session_files("two")
    store.add_file("one", file("f", 4))
    assert set(store.file_storage["one"]) == {"a", "f"}

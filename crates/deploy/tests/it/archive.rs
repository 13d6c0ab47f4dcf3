//! Archives that somebody made by hand: what is taken, and every way out of the folder that is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use deploy::source::{Source, SourceLimits};
use deploy::unpack::{UnpackError, unpack};
use tar::EntryType;

const LIMITS: SourceLimits = SourceLimits { bytes_max: 10_000, files_max: 20 };

/// An entry whose name is written byte by byte: the tar crate itself refuses to write some of these.
fn entry(kind: EntryType, name: &str, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    {
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, name, "", 0o644, content.as_bytes())
}

fn link(name: &str, target: &str) -> Vec<u8> {
    entry(EntryType::Symlink, name, target, 0o777, b"")
}

fn unpacked(entries: &[Vec<u8>]) -> (tempfile::TempDir, Result<String, UnpackError>) {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = entries.concat();
    archive.extend_from_slice(&[0; 1024]);
    let said = unpack(&archive[..], &dir.path().join("in"), LIMITS).map(|unpacked| unpacked.digest);
    (dir, said)
}

#[test]
fn nothing_leaves_the_folder() {
    let attacks: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![file("/etc/evil", "x")], "the path is absolute"),
        (vec![file("../evil", "x")], "the path contains `..`"),
        (vec![file("a/../../evil", "x")], "the path contains `..`"),
        (vec![link("out", "/etc")], "a link needs a relative target of at most 1024 bytes"),
        (vec![link("out", "../..")], "the link leads out of the folder or nowhere"),
        (vec![link("out", "nowhere")], "the link leads out of the folder or nowhere"),
        (vec![link("self", "self")], "the link leads out of the folder or nowhere"),
        (
            vec![file("s/t/f", ""), link("s/t/up", "../.."), link("out", "s/t/up/..")],
            "the link leads out of the folder or nowhere",
        ),
        (vec![link("d", "."), file("d/f", "x")], "the path is there twice"),
        (vec![file("t/f", ""), link("d", "t"), link("d/l", "f")], "its folder is a link"),
        (vec![link("d", "../.."), file("d/evil", "x")], "the path is there twice"),
        (vec![file("f", "1"), file("f", "2")], "the path is there twice"),
        (vec![file("f", "1"), file("f/g", "2")], "a file is where a folder should be"),
        (vec![file("f", "1"), link("f", "g")], "the path is there twice"),
        (vec![file("f", "1"), entry(EntryType::Link, "hard", "f", 0o644, b"")], "hard links are not taken"),
        (vec![entry(EntryType::Link, "hard", "/etc/passwd", 0o644, b"")], "hard links are not taken"),
        (vec![entry(EntryType::Char, "null", "", 0o666, b"")], "devices are not taken"),
        (vec![entry(EntryType::Block, "disk", "", 0o666, b"")], "devices are not taken"),
        (vec![entry(EntryType::Fifo, "pipe", "", 0o666, b"")], "pipes are not taken"),
        (
            vec![entry(EntryType::GNUSparse, "sparse", "", 0o644, b"")],
            "only files, folders and symbolic links are taken",
        ),
        (vec![file(".", "x")], "a file needs a name"),
    ];
    for (entries, reason) in attacks {
        let (dir, said) = unpacked(&entries);
        match said {
            Err(UnpackError::Refused { reason: given, .. }) => assert_eq!(given, reason),
            // The tar crate refuses some by itself.
            Err(UnpackError::Archive(_)) => {}
            other => panic!("{reason}: {other:?}"),
        }
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["in"], "{reason}");
    }
}

#[test]
fn limits_hold_while_it_streams() {
    let (_dir, said) = unpacked(&[file("a", &"x".repeat(9_999)), file("b", "yy")]);
    assert!(matches!(said, Err(UnpackError::TooLarge { limit: 10_000, what: "bytes" })), "{said:?}");
    let many: Vec<_> = (0..21).map(|n| file(&format!("f{n}"), "")).collect();
    assert!(matches!(unpacked(&many).1, Err(UnpackError::TooLarge { limit: 20, what: "files" })));
    let deep = format!("{}f", "d/".repeat(47));
    assert!(unpacked(&[file(&deep, "")]).1.is_ok());
    let mut short = file("f", &"x".repeat(600));
    short.truncate(700);
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(unpack(&short[..], &dir.path().join("in"), LIMITS), Err(UnpackError::Archive(_))));
}

#[test]
fn modes_lose_what_a_source_must_not_have() {
    let (dir, said) = unpacked(&[
        entry(EntryType::Regular, "bin/run", "", 0o6777, b"#!/bin/sh"),
        entry(EntryType::Regular, "data", "", 0o666, b""),
        entry(EntryType::Directory, "empty", "", 0o1777, b""),
        link("run", "bin/run"),
    ]);
    said.unwrap();
    let mode = |path: &str| fs::metadata(dir.path().join("in").join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("bin/run"), mode("data"), mode("empty"), mode("bin")], [0o755, 0o644, 0o755, 0o755]);
}

#[test]
fn what_the_client_sends_has_the_digest_that_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "long".repeat(40), "name".repeat(30));
    fs::create_dir_all(dir.path().join(&long).parent().unwrap()).unwrap();
    fs::write(dir.path().join(&long), "deep").unwrap();
    fs::write(dir.path().join("run"), "#!/bin/sh").unwrap();
    fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("grüße"), "").unwrap();
    std::os::unix::fs::symlink("run", dir.path().join("start")).unwrap();
    let source = Source::scan(dir.path(), LIMITS, &[]).unwrap();
    let mut archive = Vec::new();
    source.write_tar(&mut archive).unwrap();
    let into = tempfile::tempdir().unwrap();
    let unpacked = unpack(&archive[..], &into.path().join("in"), LIMITS).unwrap();
    assert_eq!(unpacked.digest, source.digest().unwrap());
    assert_eq!(fs::read_to_string(into.path().join("in").join(&long)).unwrap(), "deep");
}

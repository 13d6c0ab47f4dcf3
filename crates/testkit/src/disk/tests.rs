//! The fake disk keeps the rules it was made for, and breaks only those it was told to.

use std::io::ErrorKind;
use std::path::Path;

use stdx::io::{Io, OpenMode};

use super::*;

const FOLDER: &str = "/d";
const FILE: &str = "/d/f";

fn disk(seed: u64) -> FakeDisk {
    let disk = FakeDisk::new(seed);
    disk.create_dir(Path::new(FOLDER)).unwrap();
    disk
}

fn write(disk: &FakeDisk, bytes: &[u8], offset: u64) -> FakeFile {
    let path = Path::new(FILE);
    let file = disk.open(path, OpenMode::CreateNew).or_else(|_| disk.open(path, OpenMode::Write)).unwrap();
    disk.write_all_at(&file, bytes, offset).unwrap();
    file
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for seed in 0..200 {
        let disk = disk(seed);
        let file = write(&disk, &[1; 2000], 0);
        disk.sync_data(&file).unwrap();
        disk.sync_dir(Path::new(FOLDER)).unwrap();
        write(&disk, &[2; 2000], 2000);
        disk.power_cut();
        let contents = disk.contents(Path::new(FILE)).unwrap();
        assert_eq!(contents[..2000], [1; 2000], "seed {seed}");
    }
}

#[test]
fn unsynced_sectors_are_lost_torn_and_reordered() {
    let (mut none, mut all, mut torn, mut reordered) = (0, 0, 0, 0);
    for seed in 0..500 {
        let disk = disk(seed);
        let file = write(&disk, &[1; 2048], 0);
        disk.sync_data(&file).unwrap();
        disk.sync_dir(Path::new(FOLDER)).unwrap();
        write(&disk, &[2; 1024], 0);
        write(&disk, &[3; 1024], 1024);
        disk.power_cut();
        let contents = disk.contents(Path::new(FILE)).unwrap();
        let sectors: Vec<u8> = contents.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert!(contents.chunks(SECTOR).all(|sector| sector.iter().all(|b| *b == sector[0])), "sectors are atomic");
        match sectors[..] {
            [1, 1, 1, 1] => none += 1,
            [2, 2, 3, 3] => all += 1,
            [1, _, _, 3] | [_, 1, _, 3] => reordered += 1,
            _ => torn += 1,
        }
    }
    assert!(none > 20 && all > 20 && torn > 20 && reordered > 20, "{none} {all} {torn} {reordered}");
}

#[test]
fn unsynced_names_come_and_go() {
    let (mut lost, mut kept, mut renamed) = (0, 0, 0);
    for seed in 0..300 {
        let disk = disk(seed);
        let file = write(&disk, &[1; 10], 0);
        disk.sync_data(&file).unwrap();
        disk.rename(Path::new(FILE), Path::new("/d/g")).unwrap();
        disk.power_cut();
        match disk.paths().iter().map(|p| p.to_str().unwrap()).collect::<Vec<_>>()[..] {
            [] => lost += 1,
            [FILE] => kept += 1,
            ["/d/g"] => renamed += 1,
            ref other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(lost > 20 && kept > 20 && renamed > 20, "{lost} {kept} {renamed}");
}

#[test]
fn a_second_sync_after_a_failed_one_saves_nothing() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = disk(seed);
        let file = write(&disk, &[1; 100], 0);
        disk.sync_dir(Path::new(FOLDER)).unwrap();
        disk.fail(Call::Sync, 1);
        assert_eq!(disk.sync_data(&file).unwrap_err().raw_os_error(), Some(5));
        disk.sync_data(&file).unwrap();
        assert_eq!(disk.contents(Path::new(FILE)).unwrap(), [1; 100], "the cache still shows it");
        disk.power_cut();
        lost += u32::from(disk.contents(Path::new(FILE)).unwrap() != [1; 100]);
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_full_disk_takes_what_fits_and_a_reserve_counts() {
    let disk = disk(1);
    disk.set_capacity(Some(1000));
    let file = write(&disk, &[1; 400], 0);
    let ballast = disk.open(Path::new("/d/ballast"), OpenMode::CreateNew).unwrap();
    disk.reserve(&ballast, 500).unwrap();
    assert_eq!(disk.free_bytes(Path::new(FOLDER)).unwrap(), 100);
    assert_eq!(disk.write_at(&file, &[2; 300], 400).unwrap(), 100);
    assert_eq!(disk.write_at(&file, &[2; 200], 500).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.unlink(Path::new("/d/ballast")).unwrap();
    assert_eq!(disk.write_at(&file, &[2; 200], 500).unwrap(), 200);
}

#[test]
fn after_the_power_is_off_nothing_works_until_it_is_cut() {
    let disk = disk(1);
    let file = write(&disk, &[1; 10], 0);
    disk.power_off_after(1);
    assert!(disk.write_at(&file, &[2; 10], 0).is_err());
    assert!(disk.read_at(&file, &mut [0; 10], 0).is_err());
    disk.power_cut();
    assert!(disk.read_at(&file, &mut [0; 10], 0).is_err(), "the file was open in another life");
}

#[test]
fn a_broken_sector_fails_to_read_until_it_is_written() {
    let disk = disk(1);
    let file = write(&disk, &[1; 2000], 0);
    assert!(disk.break_sector(Path::new(FILE), 600));
    let mut buf = [0; 2000];
    assert_eq!(disk.read_at(&file, &mut buf, 0).unwrap(), 512);
    assert_eq!(disk.read_at(&file, &mut buf, 512).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(disk.read_at(&file, &mut buf, 1024).unwrap(), 976);
    write(&disk, &[2; 512], 512);
    assert_eq!(disk.read_at(&file, &mut buf, 0).unwrap(), 2000);
}

#[test]
fn one_seed_is_one_history() {
    let run = |seed| {
        let disk = disk(seed);
        disk.short_writes();
        write(&disk, &[1; 5000], 0);
        write(&disk, &[2; 5000], 3000);
        disk.power_cut();
        (disk.changes(), disk.contents(Path::new(FILE)))
    };
    assert_eq!(run(7), run(7));
}

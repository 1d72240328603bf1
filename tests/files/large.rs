//! Large and growing files.

use super::*;

#[test]
fn a_large_file_takes_little_memory() {
    let world = World::new().connected();
    let mut child = world.command(&["write", "zero"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let chunk = vec![0; 1 << 20];
    for _ in 0..96 {
        stdin.write_all(&chunk).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    assert!(peak.parse::<u32>().unwrap() < 32 * 1024, "{peak} KiB");
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(world.workspace().join("zero")).unwrap().len(), 96 << 20);
}

#[test]
fn a_growing_file_is_fetched_at_its_first_size() {
    let world = World::new().connected();
    let path = world.workspace().join("log");
    fs::write(&path, noise(20_000_000)).unwrap();
    let mut log = fs::File::options().append(true).open(&path).unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..2000 {
            log.write_all(b"one more line\n").unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    for _ in 0..5 {
        world.run(&["get", "log", "--out", "log"]).succeeds();
        assert!(fs::metadata(world.home().join("log")).unwrap().len() >= 20_000_000);
    }
    writer.join().unwrap();
}

/// The most that a process had resident while it ran, in KiB.
fn peak_of(mut child: Child) -> u32 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(peak).max(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[test]
fn large_files_take_little_memory_both_ways() {
    const SIZE: u64 = 160 << 20;
    for world in World::each() {
        let world = world.connected();
        for folder in [world.home().to_owned(), world.workspace()] {
            fs::File::create(folder.join("sparse")).unwrap().set_len(SIZE).unwrap();
        }
        for arguments in [["put", "sparse", "there"].as_slice(), &["get", "sparse", "--out", "here"]] {
            let child = silent(&mut world.command(arguments)).spawn().unwrap();
            let peak = peak_of(child);
            assert!((1..32 * 1024).contains(&peak), "{arguments:?}: {peak} KiB");
        }
        for copy in [world.workspace().join("there"), world.home().join("here")] {
            assert_eq!(fs::metadata(copy).unwrap().len(), SIZE);
        }
    }
}

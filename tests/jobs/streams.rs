//! What a job writes: whole, apart, bounded, and never silently lost.

use std::io::Read as _;
use std::time::{Duration, Instant};

use super::*;

/// The most that is kept of a stream.
const MOST: u64 = 16 << 20;

#[test]
fn any_bytes_are_kept_and_read_from_any_on() {
    everywhere(|desk| {
        let bytes = (0..=255).collect::<Vec<u8>>().repeat(2000);
        let file = desk.world.workspace().join("bytes");
        std::fs::write(&file, &bytes).unwrap();
        let id = desk.start(&["--", "cat", file.to_str().unwrap()]);
        assert_eq!(desk.wait(&id), 0);
        assert!(desk.run(&["jobs", "output", &id]).succeeds().stdout == bytes);
        for since in [1, 255, 65_536, 300_001, bytes.len() - 1, bytes.len(), bytes.len() + 5] {
            let said = desk.run(&["jobs", "output", &id, "--since", &since.to_string()]).succeeds();
            assert!(said.stdout == bytes.get(since..).unwrap_or_default(), "{since}");
            assert_eq!(said.stderr, "", "{since}");
        }
    });
}

#[test]
fn output_is_followed_to_the_end_of_the_job() {
    everywhere(|desk| {
        let go = format!("go-{}", desk.transport);
        let wait = until_there(desk.world.home(), &go);
        let id = desk.start(&["--", &format!("echo first; {wait}; echo last; exit 4")]);
        let mut child = desk.command(&["jobs", "output", &id, "--follow"]).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut first = [0; 6];
        output.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"first\n");
        assert!(child.try_wait().unwrap().is_none(), "it goes on");
        std::fs::write(desk.world.home().join(go), "").unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("last\n", Some(0)));
    });
}

#[test]
fn long_output_is_bounded_and_its_loss_is_told() {
    for world in World::each() {
        let world = world.connected();
        let desk = Desk::of(&world);
        let id = desk.start(&["--", "head -c 40000000 /dev/zero | tr '\\0' x; echo END"]);
        assert_eq!(desk.wait(&id), 0);
        assert_eq!(desk.job(&id)["bytes"], 40_000_004);
        let kept = std::fs::read_dir(folder(&world).join(&id)).unwrap().flatten();
        let kept = kept.map(|entry| entry.metadata().unwrap().len()).sum::<u64>();
        assert!(kept < MOST + 4096, "{kept} bytes are kept");
        let said = world.run(&["jobs", "output", &id, "--since", "1000"]).succeeds();
        assert!(said.stdout.len() as u64 <= MOST && said.stdout.len() > 6_000_000, "{}", said.stdout.len());
        assert!(said.stdout.ends_with(b"xEND\n"));
        let lost = 40_000_004 - 1000 - said.stdout.len();
        assert!(said.stderr.contains(&format!("lost {lost} bytes")), "{}", said.stderr);
        let tail = world.run(&["jobs", "output", &id, "--since", "40000000"]).succeeds();
        assert_eq!((tail.text(), tail.stderr.as_str()), ("END\n", ""));
    }
}

/// A process that a job leaves behind holds its streams.
#[test]
fn a_descendant_holds_up_nothing() {
    everywhere(|desk| {
        let go = format!("go-{}", desk.transport);
        let wait = until_there(desk.world.home(), &go);
        let began = Instant::now();
        let id = desk.start(&["--", &format!("({wait}; echo late) & echo x; exit 3")]);
        assert_eq!(desk.wait(&id), 3);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(desk.output(&id), "x\n");
        std::fs::write(desk.world.home().join(go), "").unwrap();
        until("what it writes later is kept too", || desk.output(&id) == "x\nlate\n");
    });
}

#[test]
fn a_reader_that_goes_ends_the_following() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let id = desk.start(&["--", "for n in $(seq 3000); do echo line; sleep 0.02; done"]);
    let mut child = desk.command(&["jobs", "output", &id, "--follow"]).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(141));
    assert_eq!(desk.job(&id)["state"], "running", "the job does not mind");
    world.run(&["jobs", "kill", &id]).succeeds();
}

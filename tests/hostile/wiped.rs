//! Secrets are wiped where they are kept: neither memory that was given back nor a process that has done with a key holds it.
#![cfg_attr(not(target_os = "linux"), allow(unused_imports, reason = "only Linux shows a process's memory"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read as _, Seek as _};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use runcode::origin::hosted::saved_token::{save, saved};
use runcode::origin::hosted::{BaseUrl, Token};
use runcode::session::keypair::Keypair;
use runcode::sys::paths::Paths;

use super::skipped;
use crate::support::fake_plane::FakePlane;
use crate::support::{World, until};

/// The system's allocator, which keeps what the watched thread gives back.
struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

const ROOM: usize = 1 << 20;
static FREED: [AtomicU8; ROOM] = [const { AtomicU8::new(0) }; ROOM];
static USED: AtomicUsize = AtomicUsize::new(0);
thread_local! { static IS_WATCHED: Cell<bool> = const { Cell::new(false) } }

#[allow(unsafe_code, reason = "an allocator can be had in no other way; it hands everything to the system's")]
// SAFETY: both functions pass on what they got to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
            let start = USED.fetch_add(layout.size(), Ordering::SeqCst);
            for (at, kept) in FREED.iter().skip(start).take(layout.size()).enumerate() {
                // SAFETY: the block is the caller's until it is given back below; read as bytes, also where none were written.
                kept.store(unsafe { pointer.add(at).read_volatile() }, Ordering::Relaxed);
            }
        }
        // SAFETY: `pointer` came from `alloc` with this layout, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// All that this thread gives back to the allocator while `work` runs.
fn freed_by(work: impl FnOnce()) -> Vec<u8> {
    IS_WATCHED.with(|watched| watched.set(true));
    work();
    IS_WATCHED.with(|watched| watched.set(false));
    let used = USED.swap(0, Ordering::SeqCst);
    assert!(used < ROOM, "{used} bytes are more than are kept");
    FREED.iter().take(used).map(|byte| byte.load(Ordering::Relaxed)).collect()
}

fn holds(memory: &[u8], needle: &[u8]) -> bool {
    memory.windows(needle.len()).any(|part| part == needle)
}

/// One test, because the watch is one: tests of one process run side by side.
#[test]
fn freed_memory_holds_no_secret() {
    const SECRET: &str = "rc_a-token-that-nobody-else-has-0123456789";
    let freed = freed_by(|| drop(SECRET.to_owned()));
    assert!(holds(&freed, SECRET.as_bytes()), "the watch sees nothing");
    let freed = freed_by(|| {
        let token = Token::parse(SECRET).unwrap();
        assert_eq!(token.expose(), SECRET);
    });
    assert!(!holds(&freed, SECRET.as_bytes()), "a token");

    let home = tempfile::tempdir().unwrap();
    let paths = Paths::below(home.path());
    let base = BaseUrl::parse("https://a.example").unwrap();
    save(&paths, &base, &Token::parse(SECRET).unwrap()).unwrap();
    let freed = freed_by(|| assert_eq!(saved(&paths, &base).unwrap().unwrap().expose(), SECRET));
    assert!(!SECRET.as_bytes().windows(16).any(|part| holds(&freed, part)), "a part of a saved token");

    let (mut seed, mut lines) = ([0; 32], Vec::new());
    let freed = freed_by(|| {
        let pair = Keypair::generate().unwrap();
        let pem = pair.private_pem().unwrap();
        IS_WATCHED.with(|watched| watched.set(false));
        seed = seed_of(&pem);
        lines = body_of(&pem);
        IS_WATCHED.with(|watched| watched.set(true));
        let read = Keypair::from_openssh(pem.as_bytes()).unwrap();
        assert_eq!(read.public_line().unwrap(), pair.public_line().unwrap());
    });
    assert!(!holds(&freed, &seed), "the seed of a key");
    assert!(lines.len() > 2 && !lines.iter().any(|line| holds(&freed, line.as_bytes())), "a key's file");
}

/// The 32 secret bytes of an OpenSSH private key.
fn seed_of(pem: &str) -> [u8; 32] {
    let key = ssh_key::PrivateKey::from_openssh(pem).unwrap();
    key.key_data().ed25519().unwrap().private.to_bytes()
}

/// The lines of its file that no other key has.
fn body_of(pem: &str) -> Vec<String> {
    pem.lines().filter(|line| !line.starts_with('-')).skip(2).map(str::to_owned).collect()
}

/// While `connect` waits for a gateway that says nothing, the key is made, sent and saved: it is in the file alone.
#[cfg(target_os = "linux")]
#[test]
fn a_saved_key_is_wiped_from_memory() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";
    let bundle = serde_json::json!({"error": false, "bundle": {"host": "127.0.0.1", "port": port, "user": "box",
        "known_hosts": format!("[127.0.0.1]:{port} {key}"), "expires_at": "2999-01-01T00:00:00Z"}});
    let plane = FakePlane::answering(200, bundle.to_string());
    let world = World::new();
    let mut child = world.command(&["connect", "1"]).env("RUNCODE_API_BASE", plane.base()).spawn().unwrap();
    let (gateway, _) = silent.accept().unwrap(); // ssh has been started, so everything before is done
    until("the session is saved", || world.cache("ws-1/id_ed25519").exists());
    let pem = std::fs::read_to_string(world.cache("ws-1/id_ed25519")).unwrap();
    let memory = memory_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(gateway);
    let Some(memory) = memory else { return skipped("a process's memory", "it cannot be read here") };
    assert!(
        holds(&memory, world.home().as_os_str().as_encoded_bytes()),
        "the memory that was read is not its own"
    );
    assert!(!holds(&memory, &seed_of(&pem)), "the seed of the key");
    for line in body_of(&pem) {
        assert!(!holds(&memory, line.as_bytes()), "the file of the key: {line}");
    }
}

/// All that a process can write to, from proc(5).
#[cfg(target_os = "linux")]
fn memory_of(pid: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut file = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        file.seek(std::io::SeekFrom::Start(start)).ok()?;
        let mut piece = vec![0; usize::try_from(end - start).ok()?];
        if file.read_exact(&mut piece).is_ok() {
            memory.extend_from_slice(&piece);
        }
    }
    Some(memory)
}

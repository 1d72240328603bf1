#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use super::*;
use crate::sys::env::Env;
use crate::transport::Variables;
use crate::transport::{Route, Way};

const HELLO_BACK: &[u8] = &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4];

/// Something that listens in the master's place, and says what it is told to, whoever asks.
struct FakeMaster {
    folder: tempfile::TempDir,
    serving: JoinHandle<()>,
}

impl FakeMaster {
    fn new(serve: impl FnOnce(UnixStream) + Send + 'static) -> FakeMaster {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("master")).unwrap();
        let serving = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        FakeMaster { folder, serving }
    }

    /// One that takes the whole request, and answers with `replies`, each a packet's body.
    fn answering(replies: &[&[u8]]) -> FakeMaster {
        let replies = replies.iter().flat_map(|body| packet(body)).collect::<Vec<_>>();
        FakeMaster::new(move |mut stream| {
            stream.write_all(HELLO_BACK).unwrap();
            take_request(&mut stream);
            stream.write_all(&replies).unwrap();
        })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("master")
    }

    fn start(&self) -> Result<Box<dyn Process>, Failure> {
        let route = Route {
            way: Way::Config {
                config: self.folder.path().join("config"),
                alias: "box".to_owned(),
                gateway: serde_json::from_str(r#"{"host":"127.0.0.1","port":1,"user":"me"}"#).unwrap(),
                server: None,
            },
            control_path: Some(self.path()),
            folder: self.folder.path().to_owned(),
            bound: None,
        };
        let transport = Transport::new(route, &Env::fixed::<&str>([]));
        let command = RemoteCommand::snippet(None, &Variables::default(), "true").unwrap();
        let mut asked = ask(&transport, &self.path(), &command, &Streams::null())?;
        assert!(asked.is_confirmed(&transport, None, Deadline::after(HELLO))?);
        assert!(asked.is_confirmed(&transport, None, Deadline::after(HELLO))?, "as often as somebody asks");
        Ok(asked.opened())
    }

    fn ended(self) {
        self.serving.join().unwrap();
    }
}

fn packet(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn refusal(words_said: &str) -> Vec<u8> {
    [words(&[0x8000_0003, 0]), packet(words_said.as_bytes())].concat()
}

/// The hello, one packet, and the byte that comes with each of the three descriptors.
fn take_request(stream: &mut UnixStream) {
    let mut hello = [0; 12];
    stream.read_exact(&mut hello).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() + 3];
    stream.read_exact(&mut rest).unwrap();
}

const OPENED: [u32; 3] = [0x8000_0006, 0, 7];

fn wait(mut process: Box<dyn Process>) -> Result<Option<Ended>> {
    process.wait(None, Deadline::after(Duration::from_secs(10)))
}

#[test]
fn the_status_is_our_sessions() {
    let other = words(&[0x8000_0004, 8, 1]); // another session's
    let ours = words(&[0x8000_0004, 7, 42]);
    let master = FakeMaster::answering(&[&words(&OPENED), &ours]);
    assert_eq!(wait(master.start().unwrap()).unwrap(), Some(Ended::Status(42)));
    master.ended();
    let master = FakeMaster::answering(&[&words(&OPENED), &words(&[0x8000_0004, 7, 300])]);
    assert_eq!(wait(master.start().unwrap()).unwrap(), Some(Ended::Status(255)));
    let master = FakeMaster::answering(&[&words(&OPENED)]);
    assert_eq!(wait(master.start().unwrap()).unwrap(), Some(Ended::NoStatus));
    let master = FakeMaster::answering(&[&words(&OPENED), &other, &ours]);
    assert_eq!(wait(master.start().unwrap()).unwrap_err().code(), Code::Transport);
}

#[test]
fn a_status_alone_is_not_the_end() {
    let (sender, done) = std::sync::mpsc::channel::<()>();
    let master = FakeMaster::new(move |mut stream| {
        stream.write_all(HELLO_BACK).unwrap();
        take_request(&mut stream);
        stream.write_all(&packet(&words(&OPENED))).unwrap();
        stream.write_all(&packet(&words(&[0x8000_0004, 7, 0]))).unwrap();
        done.recv().unwrap();
    });
    let mut process = master.start().unwrap();
    assert_eq!(process.wait(None, Deadline::after(Duration::from_millis(50))).unwrap(), None);
    sender.send(()).unwrap();
    assert_eq!(wait(process).unwrap(), Some(Ended::Status(0)));
}

#[test]
fn a_full_master_and_a_refusal_differ() {
    let full = FakeMaster::answering(&[&refusal("Session open refused by peer")]);
    assert!(matches!(full.start(), Err(Failure::Busy(_))));
    let refused = FakeMaster::answering(&[&refusal("Permission denied")]);
    assert!(matches!(refused.start(), Err(Failure::NotStarted(_))));
}

#[test]
fn whatever_else_listens_is_told_from_a_master() {
    let nonsense: [&[u8]; 6] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 4, 0, 0, 0, 1],                   // a hello without a version
        &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 3],       // another version
        &[0, 0, 0, 0],                               // an empty packet
        &[0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0, 0], // no hello
    ];
    for said in nonsense {
        let master = FakeMaster::new(move |mut stream| stream.write_all(said).unwrap());
        assert!(matches!(master.start(), Err(Failure::NotStarted(_))), "{said:?}");
        master.ended();
    }
    for answer in [&[0xff; 64][..], &packet(&words(&[0x8000_0001, 0])), &packet(&words(&[0x8000_0006, 1, 7]))]
    {
        let answer = answer.to_vec();
        let master = FakeMaster::new(move |mut stream| {
            stream.write_all(HELLO_BACK).unwrap();
            take_request(&mut stream);
            stream.write_all(&answer).unwrap();
        });
        assert!(matches!(master.start(), Err(Failure::NotStarted(_))));
    }
}

#[test]
fn a_master_that_hangs_up_started_nothing() {
    let rude = FakeMaster::new(drop);
    assert!(matches!(rude.start(), Err(Failure::NotStarted(_))));
    let forgetful = FakeMaster::answering(&[]);
    assert!(matches!(forgetful.start(), Err(Failure::NotStarted(_))));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master");
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(Connection::open(&path, Deadline::after(HELLO)), Err(Trouble::Absent)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Connection::open(&path, Deadline::after(HELLO)), Err(Trouble::Absent)));
}

#[test]
fn one_that_says_nothing_is_given_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master");
    let _listener = UnixListener::bind(&path).unwrap();
    let began = std::time::Instant::now();
    let opened = Connection::open(&path, Deadline::after(Duration::from_millis(100)));
    assert!(matches!(opened, Err(Trouble::Silent)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn packets_that_come_in_pieces_are_put_together() {
    let master = FakeMaster::new(|mut stream| {
        let all = [HELLO_BACK.to_vec(), packet(&words(&[0x8000_0005, 0, 99]))].concat();
        for byte in all {
            stream.write_all(&[byte]).unwrap();
        }
        let _ = std::io::copy(&mut stream, &mut std::io::sink()); // stays until the client leaves
    });
    let deadline = Deadline::after(Duration::from_secs(10));
    let mut connection = Connection::open(&master.path(), deadline).unwrap();
    assert_eq!(connection.receive(deadline).unwrap(), Some(Reply::Alive(99)));
}

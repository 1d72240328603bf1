//! A known_hosts text: what is pinned is a key of this host and port, in one canonical line, and survives its own file.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::grant::{Host, Pins};

fuzz_target!(|text: &str| {
    let host = Host::parse("gw.example").unwrap();
    for port in [22, 2222] {
        let Ok(pins) = Pins::parse(text, &host, port.try_into().unwrap()) else { continue };
        let lines = pins.known_hosts("us");
        assert!((1..=16).contains(&lines.lines().count()));
        for line in lines.lines() {
            let words = line.split(' ').collect::<Vec<_>>();
            let [name, label, blob] = words[..] else { panic!("{line}") };
            assert_eq!(name, "us");
            assert_eq!(
                ssh_key::PublicKey::from_openssh(&format!("{label} {blob}")).unwrap().algorithm().as_str(),
                label
            );
            assert!(text.contains(blob));
        }
        let own = if port == 22 {
            lines.replace("us ", "gw.example ")
        } else {
            lines.replace("us ", "[gw.example]:2222 ")
        };
        assert!(Pins::parse(&own, &host, port.try_into().unwrap()).unwrap() == pins);
    }
});

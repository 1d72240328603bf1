//! Whatever listens on the control socket: no panic, no allocation by a length that came in, no byte read twice.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::transport::mux_wire::{MAX_PACKET, reply, split};

fuzz_target!(|bytes: &[u8]| {
    let _ = reply(bytes);
    let mut rest = bytes;
    loop {
        match split(rest) {
            Ok(Some((body, length))) => {
                assert!(body.len() <= MAX_PACKET && length == body.len() + 4 && length <= rest.len());
                let _ = reply(body);
                rest = &rest[length..];
            }
            Ok(None) => {
                // More bytes may complete it, never change what was complete before.
                assert!(rest.len() < 4 + MAX_PACKET);
                return;
            }
            Err(_) => {
                assert!(u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize > MAX_PACKET);
                return;
            }
        }
    }
});

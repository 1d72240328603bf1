//! This machine's clock is off, and the control plane's answers tell the time.

use crate::support::rough::{From, Rough};

#[test]
fn a_clock_that_is_off_needs_no_new_session() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    for (number, ahead) in [-31 * 60, -3 * 3600, 10 * 60, 24 * 3600].into_iter().enumerate() {
        rough.grants(|grants| grants.ahead = ahead);
        let said = rough.world.run(&["connect", "1", "--force", "--json"]).succeeds().json();
        let end: jiff::Timestamp = said["expires_at"].as_str().unwrap().parse().unwrap();
        let left = end.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((1780..=1800).contains(&left), "{ahead}: {left} s are left, by this machine's clock");
        for _ in 0..2 {
            rough.world.run(&["exec", "--", "true"]).succeeds();
        }
        assert_eq!(rough.asked(), number + 1, "{ahead}: each session served");
    }
}

//! The line of `ls -l` that version 3 of the protocol sends with every name.

use std::fs::Metadata;

/// The line for a file, as sftp-server(8) writes it.
pub(super) fn longname(name: &[u8], metadata: &Metadata) -> Vec<u8> {
    let mut line = prefix(metadata).into_bytes();
    line.extend_from_slice(name);
    line
}

#[cfg(unix)]
fn prefix(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(
        "{} {:>3} {:<8} {:<8} {:>8} {} ",
        mode(metadata.mode()),
        metadata.nlink(),
        named("/etc/passwd", metadata.uid()),
        named("/etc/group", metadata.gid()),
        metadata.len(),
        date(metadata.mtime()),
    )
}

#[cfg(not(unix))]
fn prefix(metadata: &Metadata) -> String {
    let kind = if metadata.is_dir() { "drwxr-xr-x" } else { "-rw-r--r--" };
    format!("{kind}    1 user     group    {:>8} ", metadata.len())
}

/// The mode as strmode(3) writes it.
#[cfg(unix)]
fn mode(mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// The name of a user or group in a file of the passwd(5) family; the number when it has none.
#[cfg(unix)]
fn named(file: &str, id: u32) -> String {
    name_in(file, id).unwrap_or_else(|| id.to_string())
}

/// The name of a user or group in a file of the passwd(5) family.
#[cfg(unix)]
pub(super) fn name_in(file: &str, id: u32) -> Option<String> {
    let number = id.to_string();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

/// The time, or the year when it is not of the last half year.
#[cfg(unix)]
fn date(seconds: i64) -> String {
    const HALF_A_YEAR: i64 = 365 * 24 * 60 * 60 / 2;
    let Ok(time) = jiff::Timestamp::from_second(seconds) else { return "Jan  1  1970".to_owned() };
    let age = jiff::Timestamp::now().as_second() - seconds;
    let recent = (0..HALF_A_YEAR).contains(&age);
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    local.strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" }).to_string()
}

#[cfg(all(test, unix))]
mod tests {
    use super::{date, mode};

    #[test]
    fn modes_read_as_in_ls() {
        assert_eq!(mode(0o100_644), "-rw-r--r--");
        assert_eq!(mode(0o041_777), "drwxrwxrwt");
        assert_eq!(mode(0o104_755), "-rwsr-xr-x");
        assert_eq!(mode(0o102_644), "-rw-r-Sr--");
        assert_eq!(mode(0o120_777), "lrwxrwxrwx");
    }

    #[test]
    fn old_files_have_a_year() {
        assert_eq!(date(86_400 * 365), "Jan  1  1971");
    }
}

//! Words that nobody can guess.

/// 32 random hexadecimal digits (128 bits), straight from the operating system.
pub fn word() -> String {
    format!("{:032x}", bits())
}

/// One system call, where a generator of our own takes several to be seeded. The kernel gives up to 256 bytes whole
/// (getrandom(2)).
#[cfg(target_os = "linux")]
fn bits() -> u128 {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(count) if count == bytes.len() => u128::from_ne_bytes(bytes),
        _ => rand::random(),
    }
}

#[cfg(not(target_os = "linux"))]
fn bits() -> u128 {
    rand::random()
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_long_and_never_the_same() {
        let words: std::collections::HashSet<String> = (0..1000).map(|_| super::word()).collect();
        assert_eq!(words.len(), 1000);
        assert!(
            words.iter().all(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        );
    }
}

//! How a command ended, as SSH says it (RFC 4254, section 6.10).

use std::process::ExitStatus;

use russh::{ChannelId, Sig, server::Handle};

/// Tells the client how the command ended.
pub(crate) async fn report(handle: &Handle, channel: ChannelId, status: Option<ExitStatus>) {
    match status.map(ExitCause::from) {
        Some(ExitCause::Status(code)) => {
            let _ = handle.exit_status_request(channel, code).await;
        }
        Some(ExitCause::Signal { name, core_dumped }) => {
            let _ =
                handle.exit_signal_request(channel, name, core_dumped, String::new(), String::new()).await;
        }
        None => {}
    }
}

enum ExitCause {
    Status(u32),
    #[cfg_attr(windows, expect(dead_code, reason = "nothing there ends by a signal"))]
    Signal {
        name: Sig,
        core_dumped: bool,
    },
}

impl From<ExitStatus> for ExitCause {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt;
            if let Some(signal) = status.signal() {
                return ExitCause::Signal { name: signal_name(signal), core_dumped: status.core_dumped() };
            }
        }
        ExitCause::Status(status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255))
    }
}

/// The name of a signal; one that SSH has no name for is called as sshd(8) calls it.
#[cfg(unix)]
fn signal_name(number: i32) -> Sig {
    match number {
        1 => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        6 => Sig::ABRT,
        8 => Sig::FPE,
        9 => Sig::KILL,
        11 => Sig::SEGV,
        13 => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        n if n == rustix::process::Signal::USR1.as_raw() => Sig::USR1,
        n if n == rustix::process::Signal::USR2.as_raw() => Sig::Custom("USR2".to_owned()),
        _ => Sig::Custom("SIG@openssh.com".to_owned()),
    }
}

//! Terminal modes: from the opcodes of RFC 4254, section 8, to termios(3).

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr,
    tcsetattr,
};

/// Sets the modes of a terminal by its name; an opcode that this system does not have is passed over.
pub(super) fn apply(terminal: &Path, modes: &[(u8, u32)]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap_or_default();
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(noctty).open(terminal)?;
    let mut attributes = tcgetattr(&terminal)?;
    for &(opcode, value) in modes {
        if let Some(index) = special_code(opcode) {
            // 255 stands for "no character", which is 0 here (_POSIX_VDISABLE on Linux).
            let disabled = if cfg!(target_os = "linux") { 0 } else { 255 };
            let code = u8::try_from(value).unwrap_or(255);
            attributes.special_codes[index] = if code == 255 { disabled } else { code };
        } else if let Some(mode) = input_mode(opcode) {
            attributes.input_modes.set(mode, value != 0);
        } else if let Some(mode) = local_mode(opcode) {
            attributes.local_modes.set(mode, value != 0);
        } else if let Some(mode) = output_mode(opcode) {
            attributes.output_modes.set(mode, value != 0);
        } else {
            match opcode {
                90 => set_size(&mut attributes.control_modes, ControlModes::CS7, value),
                91 => set_size(&mut attributes.control_modes, ControlModes::CS8, value),
                92 => attributes.control_modes.set(ControlModes::PARENB, value != 0),
                93 => attributes.control_modes.set(ControlModes::PARODD, value != 0),
                128 => {
                    let _ = attributes.set_input_speed(value);
                }
                129 => {
                    let _ = attributes.set_output_speed(value);
                }
                _ => {}
            }
        }
    }
    tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
    Ok(())
}

fn set_size(modes: &mut ControlModes, size: ControlModes, value: u32) {
    if value != 0 {
        modes.remove(ControlModes::CSIZE);
        modes.insert(size);
    }
}

fn special_code(opcode: u8) -> Option<SpecialCodeIndex> {
    Some(match opcode {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input_mode(opcode: u8) -> Option<InputModes> {
    Some(match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        #[cfg(target_os = "linux")]
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local_mode(opcode: u8) -> Option<LocalModes> {
    Some(match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        #[cfg(target_os = "linux")]
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output_mode(opcode: u8) -> Option<OutputModes> {
    Some(match opcode {
        70 => OutputModes::OPOST,
        #[cfg(target_os = "linux")]
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

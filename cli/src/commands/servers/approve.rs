//! `runcode servers approve`.

use std::path::{Path, PathBuf};

use runcode_policy::approval::{Stdin, is_id};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::openssh::keygen::{Keygen, NAMESPACE};
use crate::output::foreign::{self, FileName as _};
use crate::output::progress::note;
use crate::output::report::{Outcome, Report, Text};
use crate::output::sanitize;
use crate::session::approval;
use crate::sys::atomic_file;
use crate::sys::paths;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The request: the file that was written for it, or its id
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Your SSH key, or its public half if ssh-agent has it [default: the first of ~/.ssh/id_ed25519, id_ecdsa, id_rsa]
    #[arg(long, value_name = "KEY", value_hint = clap::ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Sign even if your servers.toml does not count you among the server's approvers
    #[arg(long)]
    anyway: bool,
}

struct Approved {
    request: PathBuf,
    signature: PathBuf,
    id: String,
    /// Which of the server's approvers has signed; `None` if no approver has, or if this machine cannot tell.
    approver: Option<String>,
}

impl Report for Approved {
    fn json(&self) -> Value {
        json!({
            "request": self.request.to_string_lossy(),
            "signature": self.signature.to_string_lossy(),
            "id": self.id,
            "approver": self.approver,
        })
    }

    fn text(&self, text: &mut Text) {
        let who =
            self.approver.as_ref().map(|who| format!(", by {}", foreign::word(who))).unwrap_or_default();
        text.line(format!("✓ Signed: {}{who}", self.signature.display()));
        text.line(format!("  next: whoever asked runs it again with --approval {}", self.id));
    }
}

/// Shows the request, and has the approver's key sign it at once: naming it is the approver's word.
pub(super) fn run(args: &Args, app: &App) -> Result<Outcome> {
    let file = match args.file.to_str().filter(|word| is_id(word)) {
        Some(id) => app.paths()?.approvals().join(format!("{id}.request")),
        None => args.file.clone(),
    };
    let (request, text) = approval::read(&file).map_err(|why| {
        Error::new(Code::ApprovalInvalid, format!("the request {} {why}", file.named()))
            .hint("`runcode run … --profile … --request` and `runcode connect … --request` write one; only its owner and root may be able to change it")
            .detail("why", "malformed")
    })?;
    // A person sees it before a key that asks for a touch or a passphrase does so.
    for line in text.lines() {
        note(format!("  {}", sanitize::line(line)));
    }
    if request.is_for_session() {
        note("  This approves a session in which any command may run. It lasts `ttl` seconds.");
    } else if *request.stdin() == Stdin::Any {
        note("  The command reads stdin, and this approves whatever the caller feeds it.");
    }
    let key = match &args.key {
        Some(key) => key.clone(),
        None => default_key(&paths::home(app.env())?)?,
    };
    let signature = Keygen::find(app.env())?.sign(&key, text.as_bytes())?;
    let sessions = app.sessions()?;
    let approver = match approval::counts(&sessions, &request, &signature)? {
        Some(None) if !args.anyway => {
            let what = format!(
                "no approver of `{}` may sign this with the key {}: the signature would not count, so nothing was signed",
                request.server(),
                key.named()
            );
            return Err(Error::new(Code::ApprovalInvalid, what)
                .hint("sign with an approver's key (--key); `--anyway` signs with this one, for a machine that has other approvers")
                .detail("why", "unknown_approver"));
        }
        Some(None) => {
            note(format!(
                "  No approver of `{}` here may sign this with this key: the signature does not count here.",
                request.server()
            ));
            None
        }
        None => {
            note(format!(
                "  runcode cannot tell whether the signature counts: your servers.toml names no approvers of `{}`.",
                request.server()
            ));
            None
        }
        Some(who) => who,
    };
    let place = approval::next_signature(&file);
    atomic_file::create_new(&place, &signature, 0o600)
        .map_err(|error| Error::io(format_args!("write {}", place.named()), error))?;
    Ok(Approved { id: request.id().to_owned(), request: file, signature: place, approver }.into())
}

fn default_key(home: &Path) -> Result<PathBuf> {
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| home.join(".ssh").join(name));
    names.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Error::new(Code::Usage, "there is no key of yours in ~/.ssh").hint(format!(
            "name one with --key, or sign by hand: ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE"
        ))
    })
}

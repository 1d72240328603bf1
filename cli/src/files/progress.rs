//! The progress bar: on a terminal alone, and only for what takes more than a second.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::progress;

const SHOW_AFTER: Duration = Duration::from_secs(1);

/// How far a transfer has come.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    passed: u64,
    since: Instant,
    is_watched: bool,
}

impl Progress {
    /// Nothing has passed yet; `total` when it is known.
    pub(super) fn new(total: Option<u64>) -> Progress {
        Progress { bar: None, total, passed: 0, since: Instant::now(), is_watched: progress::is_watched() }
    }

    /// So many bytes have passed.
    pub(super) fn add(&mut self, bytes: u64) {
        if !self.is_watched {
            return;
        }
        self.passed += bytes;
        if self.bar.is_none() && self.since.elapsed() >= SHOW_AFTER {
            self.bar = Some(bar(self.total).with_elapsed(self.since.elapsed()));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.passed);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes}  {rate}  {left}"),
        None => (ProgressBar::no_length(), "{bytes}  {rate}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate).with_key("left", left));
    }
    bar
}

/// The mean since the start: the bar's own estimate begins when it is shown, with all that has passed by then.
fn speed(state: &ProgressState) -> f64 {
    state.pos() as f64 / state.elapsed().as_secs_f64().max(0.001)
}

fn rate(state: &ProgressState, to: &mut dyn Write) {
    let _ = write!(to, "{}/s", BinaryBytes(speed(state) as u64));
}

fn left(state: &ProgressState, to: &mut dyn Write) {
    let left = state.len().unwrap_or_default().saturating_sub(state.pos());
    let seconds = (left as f64 / speed(state).max(1.0)).ceil();
    let _ = write!(to, "{:#}", HumanDuration(Duration::from_secs(seconds.min(1e9) as u64)));
}

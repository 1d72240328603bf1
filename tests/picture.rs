//! The README's picture is a real terminal run: this test makes it anew and compares. `sh tests/picture` redraws it.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::World;

const PATH: &str = "docs/terminal.svg";

/// What the reader types. `PROJECT` stands for the folder on the host.
const STEPS: [&[&str]; 5] = [
    &["connect", "buildhost", "--workdir", "PROJECT"],
    &["put", "app.py", "src/"],
    &["exec", "--", "python3", "src/app.py"],
    &["exec", "--", "cd src && ls"],
    &["forward", "5173"],
];

/// Sizes in pixels of a monospaced line.
const LINE_HEIGHT: usize = 22;
const WIDTH: usize = 760;
const MARGIN: usize = 20;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn as_typed(arguments: &[&str]) -> String {
    let words = arguments
        .iter()
        .map(|word| if word.contains([' ', '$']) { format!("'{word}'") } else { (*word).to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

fn svg(lines: &[(bool, String)]) -> String {
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>A terminal: runcode connects to a host, sends a file, runs it, and forwards a port</title>\n\
         <style>\n\
         rect {{ fill: #f6f8fa; stroke: #d0d7de }}\n\
         text {{ fill: #424a53; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre }}\n\
         .typed {{ fill: #0a3069; font-weight: 600 }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         rect {{ fill: #161b22; stroke: #30363d }}\n\
         text {{ fill: #c9d1d9 }}\n\
         .typed {{ fill: #a5d6ff }}\n\
         }}\n\
         </style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1,
        height - 1
    );
    for (number, (is_typed, line)) in lines.iter().enumerate() {
        let class = if *is_typed { " class=\"typed\"" } else { "" };
        let y = MARGIN + (number + 1) * LINE_HEIGHT - 7;
        let _ = writeln!(text, "<text x=\"{MARGIN}\" y=\"{y}\"{class}>{}</text>", escaped(line));
    }
    text + "</svg>\n"
}

/// What differs from run to run, as the picture shows it.
fn settled(text: &str, world: &World) -> String {
    let text = text.replace(&world.workspace().display().to_string(), "~/project");
    let mut words = text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for i in 1..words.len() {
        if words[i].trim_end() == "s" && words[i - 1].parse::<f64>().is_ok() {
            words[i - 1] = "0.1".to_owned();
        }
    }
    words.join(" ")
}

/// A run on a host of the reader's own, line by line: typed or printed.
fn run(world: &World) -> Vec<(bool, String)> {
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("Host box", "Host box buildhost");
    std::fs::write(&config, text).unwrap();
    std::fs::write(world.home().join("app.py"), "print('hello from there')\n").unwrap();
    let project = world.workspace().display().to_string();
    let mut lines = Vec::new();
    for step in STEPS {
        let arguments = step.iter().map(|word| word.replace("PROJECT", &project)).collect::<Vec<_>>();
        let said = world.run(&arguments).succeeds();
        let typed = as_typed(step).replace("PROJECT", "~/project");
        lines.push((true, format!("$ runcode {typed}")));
        lines.extend(settled(said.text(), world).lines().map(|line| (false, line.to_owned())));
    }
    world.run(&["disconnect"]).succeeds();
    lines
}

#[test]
fn the_picture_shows_what_runcode_prints() {
    let Some(world) = World::own_host() else { return };
    let drawn = svg(&run(&world));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), drawn, "redraw it: sh tests/picture");
}

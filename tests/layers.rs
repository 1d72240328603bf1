//! The house's rules, read from the sources: imports run downwards, commands know nothing of each other, files stay small.

use std::path::{Path, PathBuf};

/// The client's layers from the top; a module may import from its own and lower ones.
const CLIENT: &[&[&str]] = &[
    &["lib", "main", "args"],
    &["commands", "mcp", "codex"],
    &["hooks"],
    &["app"],
    &["remote", "files"],
    &["session"],
    &["origin", "integrations"],
    &["signer"],
    &["transport"],
    &["openssh", "http"],
    &["grant"],
    &["sys"],
    &["output"],
    &["error"],
];

/// The control plane's.
const PLANE: &[&[&str]] = &[
    &["lib"],
    &["http"],
    &["gateway", "power", "authority"],
    &["state"],
    &["access_log", "entrance", "fault", "spec"],
    &["error", "visit"],
];

/// The gateway's.
const GATEWAY: &[&[&str]] = &[
    &["lib"],
    &["plane"],
    &["listener", "power"],
    &["connection"],
    &["forward", "login", "open_channel", "sftp", "ssh_gateway"],
    &["relay", "run"],
    &["channel", "exit"],
    &["backlog"],
    &["folders", "gate", "options", "workspace"],
];

/// The self-hosted control plane's.
const SERVER: &[&[&str]] = &[
    &["lib", "main"],
    &["verbs"],
    &["args"],
    &["http"],
    &["site"],
    &["core", "krl"],
    &["store", "config", "config_tests"],
    &["log"],
    &["clock", "random"],
    &["failure"],
];

/// Each crate with layers, and where its sources are.
const CRATES: &[(&str, &[&[&str]])] =
    &[("cli/src", CLIENT), ("plane/src", PLANE), ("gateway/src", GATEWAY), ("server/src", SERVER)];

/// Upward by design: `args` is what `app` was told, what dispatch reads, and what the manual and the completions are
/// made from. On one row: a tool of `mcp` is its verb, and the verb `mcp` serves them; `codex` has the lines of messages from `mcp`.
const ALLOWED: &[(&str, &str)] = &[
    ("app", "args"),
    ("commands", "args"),
    ("mcp", "args"),
    ("codex", "args"),
    ("mcp", "commands"),
    ("commands", "mcp"),
    ("commands", "codex"),
    ("codex", "mcp"),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![
        root.join("cli/src"),
        root.join("crates"),
        root.join("gateway"),
        root.join("plane"),
        root.join("server"),
        root.join("tests"),
    ];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 40);
    found
}

fn module_of<'a>(path: &'a Path, sources: &str) -> Option<&'a str> {
    let first = path.strip_prefix(sources).ok()?.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs"))
}

fn layer(layers: &[&[&str]], module: &str) -> usize {
    layers
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` is in no layer"))
}

/// The modules that a file names after `crate::`, in `use` lines, in braces and in paths within the code.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
        .split("crate::")
        .skip(1)
    {
        let parts = match path.strip_prefix('{') {
            Some(list) => list.split(';').next().unwrap().split(',').map(str::trim).collect(),
            None => vec![path],
        };
        let names = parts.iter().map(|part| {
            part.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).next().unwrap()
        });
        found.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    found
}

#[test]
fn no_import_runs_up() {
    let sources = sources();
    for (folder, layers) in CRATES {
        let mut seen = 0;
        for (path, text) in &sources {
            let Some(module) = module_of(path, folder).filter(|module| !["lib", "main"].contains(module))
            else {
                continue;
            };
            for import in imports(text) {
                let import = import.as_str();
                if import == module
                    || ALLOWED.contains(&(module, import))
                    || !layers.concat().contains(&import)
                {
                    continue;
                }
                seen += 1;
                assert!(
                    layer(layers, import) > layer(layers, module) || module == "args",
                    "{} imports `{import}`",
                    path.display()
                );
            }
        }
        assert!(seen > 15, "the test reads no imports in {folder}");
    }
}

#[test]
fn no_command_imports_another() {
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("cli/src/commands")) {
        let verb = path.components().nth(3).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        for import in text.split("use crate::commands").skip(1) {
            let is_own = import.starts_with(&format!("::{verb}::"));
            let is_shared = ["::args::", "::host_path::", "::profiled::", "::transferred::"]
                .iter()
                .any(|shared| import.starts_with(shared));
            assert!(verb == "mod" || is_own || is_shared, "{}", path.display());
        }
    }
}

#[test]
fn files_over_400_lines_warn() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > 400 {
            eprintln!("warning: {} has {lines} lines; is it still one idea?", path.display());
        }
    }
}

#[test]
fn function_names_are_short() {
    for (path, text) in sources() {
        for line in text.lines() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap();
            assert!(name.len() <= 45, "{}: {name}", path.display());
        }
    }
}

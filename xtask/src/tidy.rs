//! `cargo xtask tidy`: what can be checked of the house's rules. Each rule is one function from what is there to the
//! faults that it finds, and has its own test.

mod directions;
mod files;
mod ratchet;
mod words;

use anyhow::{Context, Result, bail};

use crate::rust::Source;
use crate::workspace;

/// Something that the house does not want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    path: String,
    /// Counted from 1; 0 when it is the whole file.
    line: usize,
    /// What is wrong, and what to do instead.
    what: String,
}

impl Fault {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Fault {
        Fault { path: path.into(), line, what: what.into() }
    }
}

/// Checks the repository.
///
/// # Errors
/// When there is a fault; all are printed. Or when git or cargo cannot be asked.
pub(crate) fn run(tighten: bool) -> Result<()> {
    let names = workspace::files()?;
    let packages = workspace::packages()?;
    let sources = read(&names, ".rs")?.iter().map(|(path, text)| Source::new(path, text)).collect::<Vec<_>>();
    let documents = read(&names, ".md")?;

    let mut faults = directions::check(&packages);
    faults.extend(files::every_file_is_a_module(&sources));
    faults.extend(files::one_test_binary_per_crate(&names));
    faults.extend(files::links_lead_somewhere(&documents, &names));
    faults.extend(sources.iter().flat_map(files::begins_with_its_purpose));
    faults.extend(sources.iter().flat_map(words::check));
    faults.extend(ratchet::check(&sources, tighten)?);

    for Fault { path, line, what } in &faults {
        match line {
            0 => println!("{path}: {what}"),
            line => println!("{path}:{line}: {what}"),
        }
    }
    if !faults.is_empty() {
        bail!("{} things are not tidy", faults.len());
    }
    println!("tidy: {} crates, {} source files", packages.len(), sources.len());
    Ok(())
}

fn read(names: &[String], ending: &str) -> Result<Vec<(String, String)>> {
    let wanted = names.iter().filter(|name| name.ends_with(ending));
    let file = |name: &String| {
        let text =
            std::fs::read_to_string(workspace::root().join(name)).with_context(|| format!("cannot read {name}"))?;
        Ok((name.clone(), text))
    };
    wanted.map(file).collect()
}

//! Sizes that may only go down. A long function is sometimes right; that there are more and more of them never is.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::rust::Source;
use crate::tidy::Fault;
use crate::workspace;

const FILE: &str = "xtask/tidy.toml";
const FUNCTION_LINES: usize = 60;
const FILE_LINES: usize = 350;

/// What is measured, of code that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    long_functions_per_1000: usize,
    longest_function_lines: usize,
    long_files_per_1000: usize,
    longest_file_lines: usize,
}

/// Compares the sizes with those of `xtask/tidy.toml`, or writes them there.
///
/// # Errors
/// When the file cannot be read, understood or written.
pub(crate) fn check(sources: &[Source], tighten: bool) -> Result<Vec<Fault>> {
    let is = measure(sources);
    let path = workspace::root().join(FILE);
    let was = Sizes::parse(&std::fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?)?;
    if tighten {
        std::fs::write(&path, is.least(was).print()).with_context(|| format!("cannot write {FILE}"))?;
    }
    let faults = grown(is, was);
    Ok(if faults.is_empty() { faults } else { [faults, culprits(sources)].concat() })
}

fn measure(sources: &[Source]) -> Sizes {
    let functions: Vec<usize> = sources.iter().flat_map(Source::functions).map(|function| function.lines).collect();
    let files: Vec<usize> = sources.iter().map(shipped_lines).filter(|lines| *lines > 0).collect();
    Sizes {
        long_functions_per_1000: share(&functions, FUNCTION_LINES),
        longest_function_lines: functions.iter().copied().max().unwrap_or(0),
        long_files_per_1000: share(&files, FILE_LINES),
        longest_file_lines: files.iter().copied().max().unwrap_or(0),
    }
}

/// Lines up to the last that is no test.
fn shipped_lines(source: &Source) -> usize {
    let end = source.shipped.trim_end().len();
    source.shipped[..end].lines().count()
}

fn share(sizes: &[usize], limit: usize) -> usize {
    let long = sizes.iter().filter(|size| **size > limit).count();
    (long * 1000).div_ceil(sizes.len().max(1))
}

fn grown(is: Sizes, was: Sizes) -> Vec<Fault> {
    let pairs = is.named().into_iter().zip(was.named());
    pairs
        .filter(|((_, is), (_, was))| is > was)
        .map(|((name, is), (_, was))| Fault::new(FILE, 0, format!("{name} grew from {was} to {is}: split what grew")))
        .collect()
}

fn culprits(sources: &[Source]) -> Vec<Fault> {
    let long_functions = sources.iter().flat_map(|source| {
        source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES).map(|function| {
            let what = format!("function `{}` has {} lines", function.name, function.lines);
            Fault::new(&source.path, function.line, what)
        })
    });
    let long_files = sources.iter().filter(|source| shipped_lines(source) > FILE_LINES);
    let long_files = long_files.map(|file| Fault::new(&file.path, 0, format!("{} lines", shipped_lines(file))));
    long_functions.chain(long_files).collect()
}

impl Sizes {
    fn named(self) -> [(&'static str, usize); 4] {
        [
            ("long_functions_per_1000", self.long_functions_per_1000),
            ("longest_function_lines", self.longest_function_lines),
            ("long_files_per_1000", self.long_files_per_1000),
            ("longest_file_lines", self.longest_file_lines),
        ]
    }

    fn parse(text: &str) -> Result<Sizes> {
        let table: toml::Table = text.parse().with_context(|| format!("{FILE} is not TOML"))?;
        let number = |name: &str| {
            let value = table.get(name).and_then(toml::Value::as_integer).and_then(|value| usize::try_from(value).ok());
            value.with_context(|| format!("{FILE} has no number {name}"))
        };
        Ok(Sizes {
            long_functions_per_1000: number("long_functions_per_1000")?,
            longest_function_lines: number("longest_function_lines")?,
            long_files_per_1000: number("long_files_per_1000")?,
            longest_file_lines: number("longest_file_lines")?,
        })
    }

    fn least(self, other: Sizes) -> Sizes {
        Sizes {
            long_functions_per_1000: self.long_functions_per_1000.min(other.long_functions_per_1000),
            longest_function_lines: self.longest_function_lines.min(other.longest_function_lines),
            long_files_per_1000: self.long_files_per_1000.min(other.long_files_per_1000),
            longest_file_lines: self.longest_file_lines.min(other.longest_file_lines),
        }
    }

    fn print(self) -> String {
        let mut text = format!(
            "# Sizes of shipped code that may only go down; `cargo xtask tidy --tighten` lowers them to what is true.\n\
             # A long function has more than {FUNCTION_LINES} lines, a long file more than {FILE_LINES}.\n"
        );
        for (name, value) in self.named() {
            writeln!(text, "{name} = {value}").unwrap_or_default();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Sizes = Sizes {
        long_functions_per_1000: 20,
        longest_function_lines: 90,
        long_files_per_1000: 50,
        longest_file_lines: 500,
    };

    #[test]
    fn what_grows_is_a_fault_and_what_shrinks_is_not() {
        assert_eq!(grown(Sizes { longest_file_lines: 400, ..SOME }, SOME), []);
        let faults = grown(Sizes { longest_file_lines: 501, ..SOME }, SOME);
        assert_eq!(faults[0].what, "longest_file_lines grew from 500 to 501: split what grew");
    }

    #[test]
    fn the_file_reads_back_what_was_printed() {
        assert_eq!(Sizes::parse(&SOME.print()).unwrap(), SOME);
    }

    #[test]
    fn only_shipped_lines_are_measured() {
        let long = format!(
            "fn long() {{\n{}}}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    x();\n".repeat(60),
            "\n".repeat(400)
        );
        let sizes = measure(&[Source::new("crates/a/src/lib.rs", &long)]);
        assert_eq!((sizes.longest_function_lines, sizes.long_functions_per_1000), (62, 1000));
        assert_eq!((sizes.longest_file_lines, sizes.long_files_per_1000), (62, 0));
    }
}

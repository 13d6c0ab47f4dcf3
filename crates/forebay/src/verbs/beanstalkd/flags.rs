//! beanstalkd's own flags, read as it reads them: `-p 11300`, `-p11300`, `-VVF`; the last of `-f` and `-F` counts.

use std::path::PathBuf;

/// The largest body that beanstalkd can be told to take.
const JOB_BYTES_MAX: u64 = 1 << 30;
/// beanstalkd rounds the size of a file of its log up to a multiple of this.
const BLOCK_BYTES: u64 = 4096;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To serve.
    Serve(Box<Flags>),
    /// `-v`
    Version,
    /// `-h`
    Help,
}

/// When what is put must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before the answer: `-f 0`, and what `-b` alone means here.
    Always,
    /// At most so many milliseconds later: `-f N`.
    Every { ms: u64 },
    /// Whenever the system likes: `-F`.
    Never,
}

/// The flags of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// `-l`: a host or `unix:PATH`.
    pub(super) listen: Option<String>,
    /// `-p`
    pub(super) port: String,
    /// `-b`
    pub(super) folder: Option<PathBuf>,
    /// `-f` and `-F`
    pub(super) sync: Sync,
    /// `-z`
    pub(super) job_bytes_max: Option<u64>,
    /// `-s`
    pub(super) segment_bytes: Option<u64>,
    /// `-u`
    pub(super) user: Option<String>,
    /// `-V`, so many times
    pub(super) verbosity: u8,
    /// What was taken and means something else here.
    pub(super) notes: Vec<String>,
}

impl Default for Flags {
    fn default() -> Flags {
        Flags {
            listen: None,
            port: "11300".into(),
            folder: None,
            sync: Sync::Always,
            job_bytes_max: None,
            segment_bytes: None,
            user: None,
            verbosity: 0,
            notes: Vec::new(),
        }
    }
}

/// Reads the words behind the program's name. The error is the line that beanstalkd prints above its usage.
pub(super) fn parse(words: &[String]) -> Result<Asked, String> {
    let mut flags = Flags::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(format!("unknown argument: {word}"));
        };
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            // What follows the letter in the same word, else the next word.
            let mut value = || match std::mem::replace(&mut rest, "".chars()).as_str() {
                "" => words.next().cloned().ok_or_else(|| format!("flag requires an argument: -{letter}")),
                behind => Ok(behind.to_owned()),
            };
            match letter {
                'b' => flags.folder = Some(PathBuf::from(value()?)),
                'l' => flags.listen = Some(value()?),
                'p' => flags.port = value()?,
                'u' => flags.user = Some(value()?),
                'f' => {
                    flags.sync = match number(&value()?)? {
                        0 => Sync::Always,
                        ms => Sync::Every { ms },
                    }
                }
                'F' => flags.sync = Sync::Never,
                'z' => flags.job_bytes_max = Some(job_bytes(number(&value()?)?, &mut flags.notes)),
                's' => flags.segment_bytes = Some(number(&value()?)?.max(1).next_multiple_of(BLOCK_BYTES)),
                'c' | 'n' => flags.notes.push(format!("-{letter} flag was removed. binlog is always compacted.")),
                'V' => flags.verbosity = flags.verbosity.saturating_add(1),
                'v' => return Ok(Asked::Version),
                'h' => return Ok(Asked::Help),
                _ => return Err(format!("unknown flag: {word}")),
            }
        }
    }
    Ok(Asked::Serve(Box::new(flags)))
}

fn number(text: &str) -> Result<u64, String> {
    // Rounding a file's size up must not overflow.
    text.parse().ok().filter(|&n: &u64| n <= i64::MAX as u64).ok_or_else(|| format!("invalid size: {text}"))
}

fn job_bytes(asked: u64, notes: &mut Vec<String>) -> u64 {
    if asked > JOB_BYTES_MAX {
        notes.push(format!("maximum job size was set to {JOB_BYTES_MAX}"));
    }
    asked.min(JOB_BYTES_MAX)
}

/// What `-h` prints, and what follows an error.
pub(super) const USAGE: &str = "\
Use: beanstalkd [OPTIONS]

Options:
 -b DIR   keep the jobs in this folder (without it they are in memory and end with the process);
          each is on disk before it is answered
 -f MS    with -b: answer at once, and put on disk within MS milliseconds; -f0 is -b alone
 -F       with -b: answer at once, and leave it to the system when it comes to disk
 -l ADDR  listen on address (default is 127.0.0.1), or on a socket: unix:PATH
 -p PORT  listen on port (default is 11300)
 -u USER  become user and group
 -z BYTES set the maximum job size in bytes (default is 65535);
          max allowed is 1073741824 bytes
 -s BYTES set the size of each file of the log (default is 67108864);
          will be rounded up to a multiple of 4096 bytes
 -v       show version information
 -V       increase verbosity
 -h       show this help
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn served(line: &str) -> Flags {
        match read(line) {
            Ok(Asked::Serve(flags)) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_stand_alone_or_together_with_their_values_behind_them() {
        let wanted = Flags {
            listen: Some("::1".into()),
            port: "9".into(),
            folder: Some("/var/lib/b".into()),
            sync: Sync::Every { ms: 50 },
            verbosity: 2,
            ..Flags::default()
        };
        assert_eq!(served("-l ::1 -p 9 -b /var/lib/b -f 50 -V -V"), wanted);
        assert_eq!(served("-l::1 -VVp9 -b/var/lib/b -f50"), wanted);
        assert_eq!(served("").port, "11300");
    }

    #[test]
    fn the_last_word_about_syncing_counts() {
        assert_eq!(served("-b x").sync, Sync::Always);
        assert_eq!(served("-F -f 0").sync, Sync::Always);
        assert_eq!(served("-f 10 -F").sync, Sync::Never);
    }

    #[test]
    fn sizes_are_bounded_and_rounded_as_beanstalkd_does() {
        let flags = served("-z 4294967296 -s 5000");
        assert_eq!((flags.job_bytes_max, flags.segment_bytes), (Some(1 << 30), Some(8192)));
        assert_eq!(flags.notes, ["maximum job size was set to 1073741824"]);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_beanstalkds_words() {
        for (line, said) in [
            ("-x", "unknown flag: -x"),
            ("-p", "flag requires an argument: -p"),
            ("-z many", "invalid size: many"),
            ("-s 18446744073709551615", "invalid size: 18446744073709551615"),
            ("serve", "unknown argument: serve"),
            ("-", "unknown argument: -"),
        ] {
            assert_eq!(read(line), Err(said.into()), "{line}");
        }
        assert_eq!(read("-V -v -x"), Ok(Asked::Version));
        assert_eq!(read("-h"), Ok(Asked::Help));
    }
}

//! Lines, and what is read from them.

use super::Command::*;
use super::*;

const BAD: Result<Command<'_>, Refusal> = Err(Refusal::BadFormat);
const UNKNOWN: Result<Command<'_>, Refusal> = Err(Refusal::UnknownCommand);

#[test]
fn the_lines_of_the_specification_are_read() {
    let put = super::Put { pri: 1, delay_s: 2, ttr_s: 3, bytes: 4, has_trailer: false };
    assert_eq!(parse(b"put 1 2 3 4"), Ok(Put(put)));
    assert_eq!(parse(b"put   1  2 3    4"), Ok(Put(put)), "several spaces are fine");
    assert_eq!(parse(b"reserve-with-timeout 7"), Ok(ReserveWithTimeout { timeout_s: 7 }));
    assert_eq!(parse(b"release 1 2 3"), Ok(Release { id: JobId(1), pri: 2, delay_s: 3 }));
    assert_eq!(parse(b"pause-tube t 9"), Ok(PauseTube { tube: "t", delay_s: 9 }));
    assert_eq!(parse(b"kick-job 18446744073709551615"), Ok(KickJob { id: JobId(u64::MAX) }));
    assert_eq!(parse(b"list-tube-used"), Ok(ListTubeUsed));
    assert_eq!(parse(b"list-tubes-watched"), Ok(ListTubesWatched));
    assert_eq!(parse(b"auth s3cret"), Ok(Auth { token: "s3cret" }));
}

#[test]
fn the_quirks_of_beanstalkd_are_kept() {
    assert_eq!(parse(b"quitx"), Ok(Quit));
    assert_eq!(parse(b"statsfoo"), BAD);
    assert_eq!(parse(b"reserve "), BAD);
    assert_eq!(parse(b"reserve-with-timeout 0 "), Ok(ReserveWithTimeout { timeout_s: 0 }));
    assert_eq!(parse(b"reserve-with-timeout -1"), BAD, "1.13, not 1.12");
    assert_eq!(parse(b"reserve-with-timeout 2147483648"), BAD);
    assert_eq!(parse(b"kick 1x"), Ok(Kick { jobs_max: 1 }));
    assert_eq!(parse(b"kick -1"), Ok(Kick { jobs_max: u32::MAX }));
    assert_eq!(parse(b"kick \t+7"), Ok(Kick { jobs_max: 7 }));
    assert_eq!(parse(b"kick x"), BAD);
    assert_eq!(parse(b"kick 99999999999999999999"), BAD);
    assert_eq!(parse(b"delete 1x"), BAD);
    assert_eq!(parse(b"delete 1 "), BAD);
    assert_eq!(parse(b"delete +1"), BAD);
    assert_eq!(parse(b"put 1 2 3 4294967296"), BAD);
    assert!(matches!(parse(b"put 1 2 3 4 "), Ok(Put(put)) if put.has_trailer));
    assert_eq!(parse(b"pause-tubet 1"), Ok(PauseTube { tube: "t", delay_s: 1 }));
    assert_eq!(parse(b"use -x"), BAD);
    assert_eq!(parse(b"use a b"), BAD);
    assert_eq!(parse(b"PUT 1 2 3 4"), UNKNOWN);
    assert_eq!(parse(b"put"), UNKNOWN);
    assert_eq!(parse(b""), UNKNOWN);
    assert_eq!(parse(b"sta\0ts"), BAD);
}

proptest::proptest! {
    #[test]
    fn any_line_is_a_command_or_refused(verb in 0..VERBS.len() + 1, rest: Vec<u8>, numbers: Vec<u64>) {
        let mut line = VERBS.get(verb).map_or_else(Vec::new, |(word, _)| word.as_bytes().to_vec());
        for number in numbers {
            line.extend_from_slice(format!("{number} ").as_bytes());
        }
        line.extend_from_slice(&rest);
        if let Ok(Use { tube } | Watch { tube } | StatsTube { tube } | PauseTube { tube, .. }) = parse(&line) {
            proptest::prop_assert!(TubeName::new(tube.as_bytes()).is_some());
        }
    }
}

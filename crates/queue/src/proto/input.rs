//! From a connection's bytes to lines and bodies, in bounded memory.

use memchr::memmem;

use super::reply::Reply;

/// The longest command line with its CRLF, as in beanstalkd: 11 bytes of command, a name of 201 and 12 more.
pub(crate) const LINE_BYTES_MAX: usize = 224;

/// Capacity that an empty buffer may keep.
const IDLE_BYTES_MAX: usize = 4096;

/// What a connection has sent and was not yet dealt with.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    state: State,
    past_first_line: bool,
}

#[derive(Clone, Copy, Default)]
enum State {
    /// A command line comes.
    #[default]
    Line,
    /// The rest of a line that was too long comes.
    LongLine,
    /// The body of a `put` and its CRLF come.
    Body { bytes: u32 },
    /// Bytes to throw away come, after which the answer is due.
    Swallow { left: u64, then: Reply<'static> },
}

/// The next thing in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A command line, without CRLF.
    Line(&'a [u8]),
    /// The body that was waited for; `None` when its CRLF is not there.
    Body(Option<&'a [u8]>),
    /// An answer to what was thrown away.
    Answer(Reply<'static>),
    /// A browser or another HTTP client: not to be talked to.
    Http,
    /// More bytes are needed.
    More,
}

impl Input {
    /// Takes what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that wait here.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The command line just taken was a `put`: its body comes next.
    pub(crate) fn expect_body(&mut self, bytes: u32) {
        self.state = State::Body { bytes };
    }

    /// The body of the `put` just taken and its CRLF are not wanted; `then` is the answer after them.
    pub(crate) fn swallow_body(&mut self, bytes: u32, then: Reply<'static>) {
        self.state = State::Swallow { left: u64::from(bytes) + 2, then };
    }

    /// The next thing.
    pub(crate) fn next(&mut self) -> Step<'_> {
        match self.state {
            State::Line => self.next_line(),
            State::LongLine => self.skip_line(),
            State::Body { bytes } => self.next_body(bytes as usize),
            State::Swallow { left, then } => self.swallow(left, then),
        }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn next_line(&mut self) -> Step<'_> {
        let window = &self.rest()[..self.len().min(LINE_BYTES_MAX)];
        let end = memmem::find(window, b"\r\n");
        if !self.past_first_line {
            let line = &window[..end.unwrap_or(window.len())];
            if looks_like_http(line, end.is_some()) {
                return Step::Http;
            }
        }
        match end {
            Some(len) => {
                self.past_first_line = true;
                let line = self.start..self.start + len;
                self.start = line.end + 2;
                Step::Line(&self.bytes[line])
            }
            None if window.len() == LINE_BYTES_MAX => {
                self.past_first_line = true;
                self.state = State::LongLine;
                self.skip_line()
            }
            None => self.more(),
        }
    }

    fn skip_line(&mut self) -> Step<'_> {
        match memmem::find(self.rest(), b"\r\n") {
            Some(len) => {
                self.start += len + 2;
                self.state = State::Line;
                Step::Answer(Reply::BadFormat)
            }
            None => {
                // Its last byte may be half of the end.
                let keep = usize::from(self.rest().last() == Some(&b'\r'));
                self.start = self.bytes.len() - keep;
                self.more()
            }
        }
    }

    fn next_body(&mut self, len: usize) -> Step<'_> {
        if self.len() < len + 2 {
            return self.more();
        }
        let body = self.start..self.start + len;
        self.start = body.end + 2;
        self.state = State::Line;
        let whole = self.bytes[body.end..].starts_with(b"\r\n");
        Step::Body(whole.then_some(&self.bytes[body]))
    }

    fn swallow(&mut self, left: u64, then: Reply<'static>) -> Step<'_> {
        let here = left.min(self.len() as u64);
        self.start += here as usize;
        if here == left {
            self.state = State::Line;
            return Step::Answer(then);
        }
        self.state = State::Swallow { left: left - here, then };
        self.more()
    }

    fn more(&mut self) -> Step<'_> {
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > IDLE_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
        Step::More
    }
}

/// Whether a first line is that of an HTTP request: a web page that makes its visitor's browser send a POST here must
/// not be able to put or delete jobs.
fn looks_like_http(line: &[u8], whole: bool) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ", b"TRACE "];
    let has_method = METHODS.iter().any(|method| line.starts_with(method));
    // HTTP/2 begins with `PRI * HTTP/2.0`; other methods are told by what ends the line.
    let verb = line.iter().position(|&byte| byte == b' ').map_or(&[][..], |end| &line[..end]);
    let is_verb = !verb.is_empty() && verb.iter().all(u8::is_ascii_uppercase);
    has_method || (whole && is_verb && memmem::find(line, b" HTTP/").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bodies_come_out_however_the_bytes_came_in() {
        let sent = b"put 0 0 1 5\r\nhe\r\no\r\nreserve\r\n";
        for chunk in 1..sent.len() {
            let mut input = Input::default();
            let mut seen = Vec::new();
            for bytes in sent.chunks(chunk) {
                input.push(bytes);
                loop {
                    match input.next() {
                        Step::Line(b"put 0 0 1 5") => input.expect_body(5),
                        Step::Line(line) => seen.push(line.to_vec()),
                        Step::Body(body) => seen.push(body.unwrap().to_vec()),
                        Step::More => break,
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(seen, [b"he\r\no".to_vec(), b"reserve".to_vec()], "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_line_of_224_bytes_is_one_and_a_longer_one_is_thrown_away_to_its_end() {
        let mut input = Input::default();
        input.push(&[b"x".repeat(222), b"\r\n".to_vec()].concat());
        assert_eq!(input.next(), Step::Line(&b"x".repeat(222)));
        input.push(&b"y".repeat(1000));
        assert_eq!(input.next(), Step::More);
        assert_eq!(input.len(), 0, "nothing of it is kept");
        input.push(b"y\r");
        assert_eq!(input.next(), Step::More);
        input.push(b"\nquit\r\n");
        assert_eq!(input.next(), Step::Answer(Reply::BadFormat));
        assert_eq!(input.next(), Step::Line(b"quit"));
    }

    #[test]
    fn a_body_that_is_not_wanted_takes_no_memory() {
        let mut input = Input::default();
        input.push(b"put 0 0 1 100000\r\n");
        assert!(matches!(input.next(), Step::Line(_)));
        input.swallow_body(100_000, Reply::JobTooBig);
        for _ in 0..100 {
            input.push(&[b'z'; 1000]);
            assert_eq!(input.next(), Step::More);
            assert_eq!(input.len(), 0);
        }
        input.push(b"\r\nstats\r\n");
        assert_eq!(input.next(), Step::Answer(Reply::JobTooBig));
        assert_eq!(input.next(), Step::Line(b"stats"));
    }

    #[test]
    fn http_is_recognised_on_the_first_line_only() {
        for first in ["GET / HTTP/1.1\r\n", "POST /x", "PROPFIND / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"] {
            let mut input = Input::default();
            input.push(first.as_bytes());
            assert_eq!(input.next(), Step::Http, "{first:?}");
        }
        let mut input = Input::default();
        input.push(b"USE x\r\nGET / HTTP/1.1\r\n");
        assert_eq!(input.next(), Step::Line(b"USE x"));
        assert_eq!(input.next(), Step::Line(b"GET / HTTP/1.1"));
    }

    proptest::proptest! {
        /// Whatever comes, in whatever pieces: the same steps, and no more memory than was sent.
        #[test]
        fn steps_do_not_depend_on_how_the_bytes_came(
            words in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::strategy::Just(b"\r\n".to_vec()),
                    proptest::strategy::Just(b"\r".to_vec()),
                    proptest::strategy::Just(b"put\r\n".to_vec()),
                    proptest::strategy::Just(b"skip\r\n".to_vec()),
                    proptest::collection::vec(0u8.., 0..300),
                ],
                0..30,
            ),
            chunk in 1usize..500,
        ) {
            let sent: Vec<u8> = words.concat();
            let steps = |chunk: usize| {
                let mut input = Input::default();
                let mut seen = Vec::new();
                // The first line may be HTTP, which ends a conversation.
                input.past_first_line = true;
                for bytes in sent.chunks(chunk) {
                    input.push(bytes);
                    loop {
                        match input.next() {
                            Step::More => break,
                            Step::Line(b"put") => input.expect_body(7),
                            Step::Line(b"skip") => input.swallow_body(9, Reply::JobTooBig),
                            step => seen.push(format!("{step:?}")),
                        }
                    }
                }
                seen
            };
            proptest::prop_assert_eq!(steps(chunk), steps(usize::MAX));
        }
    }
}

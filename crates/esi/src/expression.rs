//! The tests of `<esi:when test="...">`: `$(HTTP_COOKIE{group})=='a' | !($(QUERY_STRING{n}) > 3)`.

use std::cmp::Ordering;

use crate::vars::{self, Vars};

/// Parentheses and negations within each other.
const DEPTH_MAX: u8 = 16;

/// Whether a test holds; one that cannot be read does not.
pub(crate) fn holds(test: &str, vars: &dyn Vars) -> bool {
    let mut scan = Scan { rest: test, vars, depth: 0 };
    let outcome = scan.any();
    scan.skip();
    outcome.unwrap_or(false) && scan.rest.is_empty()
}

struct Scan<'a> {
    rest: &'a str,
    vars: &'a dyn Vars,
    depth: u8,
}

impl Scan<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut outcome = self.all()?;
        while self.eat("||") || self.eat("|") {
            outcome |= self.all()?;
        }
        Some(outcome)
    }

    fn all(&mut self) -> Option<bool> {
        let mut outcome = self.one()?;
        while self.eat("&&") || self.eat("&") {
            outcome &= self.one()?;
        }
        Some(outcome)
    }

    fn one(&mut self) -> Option<bool> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let outcome = if self.eat("!") {
            !self.one()?
        } else if self.eat("(") {
            let inside = self.any()?;
            self.eat(")").then_some(inside)?
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Some(outcome)
    }

    fn comparison(&mut self) -> Option<bool> {
        type Accept = fn(Ordering) -> bool;
        const OPERATORS: [(&str, Accept); 6] = [
            ("==", Ordering::is_eq),
            ("!=", Ordering::is_ne),
            ("<=", Ordering::is_le),
            (">=", Ordering::is_ge),
            ("<", Ordering::is_lt),
            (">", Ordering::is_gt),
        ];
        let left = self.operand()?;
        match OPERATORS.iter().find(|(operator, _)| self.eat(operator)) {
            Some((_, accept)) => Some(accept(compare(&left, &self.operand()?))),
            None => Some(!left.is_empty()),
        }
    }

    fn operand(&mut self) -> Option<String> {
        self.skip();
        if let Some((value, length)) = vars::value(self.rest, self.vars) {
            self.rest = &self.rest[length..];
            return Some(value);
        }
        if let Some(quoted) = self.rest.strip_prefix('\'') {
            let (text, rest) = quoted.split_once('\'')?;
            self.rest = rest;
            return Some(text.to_string());
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse::<f64>().ok().map(|_| number.to_string())
    }

    fn eat(&mut self, wanted: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// As numbers where both are, otherwise as texts.
fn compare(left: &str, right: &str) -> Ordering {
    let numbers = left.parse::<f64>().ok().zip(right.parse::<f64>().ok());
    numbers.and_then(|(left, right)| left.partial_cmp(&right)).unwrap_or_else(|| left.cmp(right))
}

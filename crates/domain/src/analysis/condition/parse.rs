//! From text to an expression, by recursive descent.

use super::{Expression, InvalidCondition, Operand, Operator};

/// Longer conditions are refused, deeper ones too.
const MOST_BYTES: usize = 1000;
const MOST_LEVELS: usize = 32;

pub(super) fn expression(text: &str) -> Result<Expression, InvalidCondition> {
    let mut parser = Parser {
        text,
        at: 0,
        levels: 0,
    };
    if text.len() > MOST_BYTES {
        return Err(parser.expected(&format!("at most {MOST_BYTES} bytes")));
    }
    let expression = parser.any()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.expected("expected `&&`, `||` or the end"));
    }
    Ok(expression)
}

struct Parser<'t> {
    text: &'t str,
    /// In bytes, on a character boundary.
    at: usize,
    levels: usize,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Expression, InvalidCondition> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(one_of(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, InvalidCondition> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(one_of(parts, Expression::All))
    }

    fn one(&mut self) -> Result<Expression, InvalidCondition> {
        self.levels += 1;
        if self.levels > MOST_LEVELS {
            return Err(self.expected(&format!("at most {MOST_LEVELS} levels of `!` and `(`")));
        }
        let one = if self.take("!") {
            Expression::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.expected("expected `)`"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.levels -= 1;
        Ok(one)
    }

    fn comparison(&mut self) -> Result<Expression, InvalidCondition> {
        self.skip_space();
        let start = self.at;
        let left = self.operand()?;
        let operator = self.operator()?;
        let right = self.operand()?;
        if let (Operand::Number(_), Operand::Number(_)) = (left, right) {
            self.at = start;
            return Err(self.expected("one side of a comparison must be `result`"));
        }
        Ok(Expression::Comparison(left, operator, right))
    }

    fn operator(&mut self) -> Result<Operator, InvalidCondition> {
        let operators = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::MoreOrEqual),
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<", Operator::Less),
            (">", Operator::More),
        ];
        operators
            .into_iter()
            .find(|(sign, _)| self.take(sign))
            .map(|(_, operator)| operator)
            .ok_or_else(|| self.expected("expected one of `<`, `<=`, `>`, `>=`, `==` and `!=`"))
    }

    fn operand(&mut self) -> Result<Operand, InvalidCondition> {
        self.skip_space();
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        match word {
            "result" => return self.index().map(Operand::Result),
            "true" => return Ok(Operand::Number(1.0)),
            "false" => return Ok(Operand::Number(0.0)),
            _ => {}
        }
        self.at = start;
        let number = self.number();
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && !self.is_in_word() => Ok(Operand::Number(value)),
            _ => {
                self.at = start;
                Err(self.expected("expected `result` or a number"))
            }
        }
    }

    /// `[0]`, if it is there.
    fn index(&mut self) -> Result<Option<usize>, InvalidCondition> {
        if !self.take("[") {
            return Ok(None);
        }
        self.skip_space();
        let start = self.at;
        let index = self.take_while(|c| c.is_ascii_digit()).parse::<u16>();
        let Ok(index) = index else {
            self.at = start;
            return Err(self.expected("expected the place of a value, such as `[0]`"));
        };
        if !self.take("]") {
            return Err(self.expected("expected `]`"));
        }
        Ok(Some(usize::from(index)))
    }

    /// The text of a number: `-1.5e3`.
    fn number(&mut self) -> &'t str {
        let start = self.at;
        self.take_one(&['-', '+']);
        self.take_while(|c| c.is_ascii_digit() || c == '.');
        if self.take_one(&['e', 'E']) {
            self.take_one(&['-', '+']);
            self.take_while(|c| c.is_ascii_digit());
        }
        &self.text[start..self.at]
    }

    fn is_in_word(&self) -> bool {
        self.rest()
            .starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '%'))
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn take_one(&mut self, signs: &[char]) -> bool {
        let found = self.rest().starts_with(signs);
        if found {
            self.at += 1;
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn expected(&self, expected: &str) -> InvalidCondition {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start().len();
        let offset = self.at + if skipped < rest.len() { skipped } else { 0 };
        InvalidCondition {
            offset,
            character: self.text[..offset].chars().count() + 1,
            expected: expected.to_owned(),
        }
    }
}

fn one_of(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            join(parts)
        }
    }
}

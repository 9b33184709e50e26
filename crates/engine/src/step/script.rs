//! The shell script that a step's command lines become.
//!
//! The script is fed to the container's standard input: the container's configuration, which `docker inspect` shows
//! and a commit keeps, holds neither commands nor variables.

use std::{collections::BTreeMap, fmt::Write};

use crate::{Error, Result};

/// What the container runs: the script is read to its end before any of it runs.
pub(super) fn entrypoint() -> Vec<String> {
    ["sh", "-c", "eval \"$(cat)\""].map(str::to_owned).to_vec()
}

/// Each line is printed, then evaluated by itself, so a line with a syntax error harms only itself, and one that fails
/// ends the script whatever its form (`false && true` too).
pub fn shell_script(lines: &[String], env: &BTreeMap<String, String>) -> Result<String> {
    let mut script = String::from("exec </dev/null\n");
    for (name, value) in env {
        if !is_variable_name(name) {
            return Err(Error::Invalid(format!(
                "{name:?} is no name for an environment variable: letters, digits and underscores, not starting with a digit"
            )));
        }
        refuse_nul(name, value)?;
        writeln!(script, "export {name}={}", quoted(value)).expect("a String can be written to");
    }
    script.push_str("set -e\n");
    for line in lines {
        refuse_nul("a command line", line)?;
        let line = line.trim_end_matches('\n');
        let echo = quoted(&format!("$ {}", line.replace('\n', "\n> ")));
        writeln!(script, "printf '%s\\n' {echo}\neval {}", quoted(line))
            .expect("a String can be written to");
    }
    Ok(script)
}

fn refuse_nul(what: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::Invalid(format!(
            "{what} contains a NUL character, which no shell can take"
        )));
    }
    Ok(())
}

fn is_variable_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

/// A POSIX shell word that stands for exactly this text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs a script the way that the container does.
    fn run(lines: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let env = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let script = shell_script(&lines, &env).expect("the script is made");
        let output = Command::new("sh")
            .arg("-c")
            .arg(script)
            .output()
            .expect("sh runs");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code().expect("an exit code"), stdout)
    }

    #[test]
    fn lines_share_directory_and_variables() {
        let (code, out) = run(&["cd /tmp", "X=1", "echo $PWD $X"], &[]);
        assert_eq!(
            (code, out.as_str()),
            (0, "$ cd /tmp\n$ X=1\n$ echo $PWD $X\n/tmp 1\n")
        );
    }

    #[test]
    fn the_first_failing_line_ends_the_script() {
        let (code, out) = run(&["(exit 7)", "echo unreachable"], &[]);
        assert_eq!((code, out.as_str()), (7, "$ (exit 7)\n"));
        let (code, _) = run(&["false && true", "echo unreachable"], &[]);
        assert_eq!(code, 1);
    }

    #[test]
    fn a_syntax_error_does_not_keep_earlier_lines_from_running() {
        let (code, out) = run(&["echo one", "echo 'unterminated"], &[]);
        assert_ne!(code, 0);
        assert!(out.contains("\none\n"), "{out}");
    }

    #[test]
    fn quotes_and_newlines_survive() {
        let (_, out) = run(&["cat <<'EOF'\nit's \"quoted\" $HOME\nEOF"], &[]);
        assert!(out.ends_with("it's \"quoted\" $HOME\n"), "{out}");
        let (_, out) = run(&["printf %s \"$V\""], &[("V", "a'b\nc$d")]);
        assert!(out.ends_with("a'b\nc$d"), "{out}");
    }

    #[test]
    fn a_bad_variable_name_is_refused() {
        let env = BTreeMap::from([("a-b".to_owned(), String::new())]);
        assert!(matches!(shell_script(&[], &env), Err(Error::Invalid(_))));
    }
}

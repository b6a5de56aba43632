//! Units of systemd, as far as a test needs them where systemd does not run.

/// Returns the value of a setting of a unit for this instance.
pub(super) fn setting(unit: &str, name: &str, instance: &str) -> Option<String> {
    values(unit, name).next().map(|value| value.replace("%i", instance))
}

/// Returns a shell script that runs the command of a service as systemd does.
pub(super) fn script(unit: &str, instance: &str) -> Option<String> {
    let variables = values(unit, "Environment").map(|value| format!("export {value}\n"));
    let files = values(unit, "EnvironmentFile").map(|file| {
        let file = file.trim_start_matches('-');
        format!("if [ -e {file} ]; then set -a; . {file}; set +a; fi\n")
    });
    let command = format!("exec {}\n", setting(unit, "ExecStart", instance)?);
    let script: String = variables.chain(files).chain([command]).collect();
    Some(script.replace("%i", instance))
}

fn values<'u>(unit: &'u str, name: &str) -> impl Iterator<Item = &'u str> {
    unit.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_becomes_a_script() {
        let unit = "[Service]\nEnvironment=\"A=b c\"\nEnvironmentFile=-/etc/%i.conf\nExecStart=/bin/x $A\n";
        let expected = "export \"A=b c\"\nif [ -e /etc/one.conf ]; then set -a; . /etc/one.conf; set +a; fi\n\
                        exec /bin/x $A\n";
        assert_eq!(script(unit, "one").as_deref(), Some(expected));
        assert_eq!(
            setting("ListenStream=/run/%i.sock\n", "ListenStream", "one").as_deref(),
            Some("/run/one.sock")
        );
        assert_eq!(script("[Unit]\n", "one"), None);
    }
}

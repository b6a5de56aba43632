//! What apt would do, from the output of `apt-get --simulate`.

use anyhow::{Result, bail};

/// The changes that apt would make.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The names of packages that are not installed yet.
    pub(super) new: Vec<String>,
    /// "NAME OLD → NEW" for each package that is installed in another version.
    upgraded: Vec<String>,
    /// The names of installed packages that apt would remove.
    removed: Vec<String>,
}

impl Plan {
    /// Reads lines like `Inst NAME (NEW SUITE [ARCH])`, `Inst NAME [OLD] (NEW SUITE [ARCH])` and
    /// `Remv NAME [OLD]`.
    pub(super) fn parse(simulation: &str) -> Self {
        let mut plan = Self::default();
        for line in simulation.lines() {
            let mut words = line.split_whitespace();
            let (Some(action), Some(name), Some(version)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            match action {
                "Inst" => match version.strip_prefix('[') {
                    Some(old) => {
                        let new = words.next().unwrap_or_default();
                        let (old, new) = (old.trim_end_matches(']'), new.trim_start_matches('('));
                        plan.upgraded.push(format!("{name} {old} → {new}"));
                    }
                    None => plan.new.push(name.to_owned()),
                },
                "Remv" | "Purg" => plan.removed.push(name.to_owned()),
                _ => {}
            }
        }
        plan
    }

    /// Fails if a package would be removed.
    pub(super) fn check(&self, packages: &[&str]) -> Result<()> {
        if self.removed.is_empty() {
            return Ok(());
        }
        bail!(
            "installing {} would remove {}; nothing was installed; remove these packages yourself, or run \
             the task in a container",
            packages.join(", "),
            self.removed.join(", ")
        );
    }

    /// Prints the number of new packages, and each package that is upgraded.
    pub(super) fn show(&self) {
        println!("apt: {} new, {} upgraded, none removed", self.new.len(), self.upgraded.len());
        for upgrade in &self.upgraded {
            println!("  {upgrade}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `apt-get --simulate install pulseaudio` on a Debian 13 that has pipewire-audio.
    const REPLACING: &str = "\
The following packages were automatically installed and are no longer required:
  wireplumber
Use 'apt autoremove' to remove them.
The following packages will be REMOVED:
  pipewire-alsa pipewire-audio
0 upgraded, 91 newly installed, 2 to remove and 0 not upgraded.
Remv pipewire-audio [1.4.2-1]
Remv pipewire-alsa [1.4.2-1]
Inst libbrotli1 (1.1.0-2+deb13u1 Debian:13.8/stable [amd64])
Inst pulseaudio (17.0+dfsg1-2+b1 Debian:13.8/stable [amd64])
Conf libbrotli1 (1.1.0-2+deb13u1 Debian:13.8/stable [amd64])
Conf pulseaudio (17.0+dfsg1-2+b1 Debian:13.8/stable [amd64])
";

    /// From `apt-get --simulate upgrade` on Debian 12.
    const UPGRADING: &str = "\
Reading state information...
3 upgraded, 0 newly installed, 0 to remove and 115 not upgraded.
Inst libssl-dev [3.0.19-1~deb12u2] (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []
Inst libperl5.36 [5.36.0-7+deb12u2] (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [amd64]) [perl:amd64 ]
Conf libssl-dev (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64])
";

    #[test]
    fn removals_are_errors_that_name_the_packages() {
        let plan = Plan::parse(REPLACING);
        assert_eq!(
            (plan.new.as_slice(), plan.upgraded.len()),
            (["libbrotli1", "pulseaudio"].map(str::to_owned).as_slice(), 0)
        );
        let message = plan.check(&["pulseaudio"]).map_err(|error| error.to_string());
        let expected = "installing pulseaudio would remove pipewire-audio, pipewire-alsa; nothing was \
                        installed; remove these packages yourself, or run the task in a container";
        assert_eq!(message, Err(expected.to_owned()));
    }

    #[test]
    fn upgrades_are_shown_with_both_versions() -> Result<()> {
        let plan = Plan::parse(UPGRADING);
        plan.check(&["libssl-dev"])?;
        let upgraded = [
            "libssl-dev 3.0.19-1~deb12u2 → 3.0.22-1~deb12u2",
            "libperl5.36 5.36.0-7+deb12u2 → 5.36.0-7+deb12u4",
        ];
        assert_eq!(plan, Plan { upgraded: upgraded.map(str::to_owned).into(), ..Plan::default() });
        Ok(())
    }
}

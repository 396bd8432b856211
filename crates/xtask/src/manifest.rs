//! `wasm-pack.toml`: which packages for browsers there are, how each is built and what it may weigh.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The file, in the root of the workspace.
pub(crate) const MANIFEST: &str = "wasm-pack.toml";

/// One package for browsers.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// The crate of the workspace that is compiled, with a library of the type `cdylib`.
    #[serde(rename = "crate")]
    pub(crate) source: String,
    pub(crate) target: Target,
    /// Features of the crate that are on, besides its default ones.
    pub(crate) features: Vec<String>,
    /// The profile of `Cargo.toml` that it is compiled with.
    pub(crate) profile: String,
    /// The arguments of `wasm-opt`. Without any the module stays as it was compiled, and is not packed.
    pub(crate) optimise: Vec<String>,
    /// The folder below `pkg/`.
    pub(crate) output: String,
    /// What the module and its script may weigh together, in bytes, each compressed; nothing is said of what only tests load.
    pub(crate) budget_bytes: Option<usize>,
}

/// The scripts of an npm package that a page loads.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scripts {
    /// The folder with the scripts, from the root.
    pub(crate) folder: String,
    /// The script that programs name. It names others, at once or when they are needed, and these others still.
    pub(crate) entry: String,
    /// What all of them may weigh together, in bytes, each through gzip.
    pub(crate) budget_bytes: usize,
}

/// How the module is loaded: what `wasm-bindgen --target` takes and the npm package can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// By a script that is an ES module, in pages and in workers, without a bundler or through one.
    Web,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
        }
    }
}

/// What there is, each with its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    #[serde(rename = "package")]
    pub(crate) packages: BTreeMap<String, Package>,
    #[serde(default)]
    pub(crate) npm: BTreeMap<String, Scripts>,
}

/// Reads the manifest of the workspace.
pub(crate) fn read(root: &Path) -> Result<Manifest> {
    let text =
        std::fs::read_to_string(root.join(MANIFEST)).with_context(|| format!("{MANIFEST} cannot be read"))?;
    parse(&text).with_context(|| format!("{MANIFEST} cannot be used"))
}

fn parse(text: &str) -> Result<Manifest> {
    let manifest: Manifest = toml::from_str(text)?;
    let mut outputs = BTreeMap::new();
    for (name, package) in &manifest.packages {
        let output = package.output.as_str();
        // A folder that is emptied before it is written must be no other one.
        if output.is_empty() || !output.chars().all(|it| it.is_ascii_alphanumeric() || it == '-') {
            bail!("the output `{output}` of {name} is no name of one folder: use letters, digits and dashes");
        }
        if let Some(other) = outputs.insert(output, name) {
            bail!("{other} and {name} have the same output, {output}: give each a folder of its own");
        }
        if package.budget_bytes == Some(0) {
            bail!("the budget of {name} is 0 bytes, which no package keeps");
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const GOOD: &str = "[package.rejoin]\ncrate = \"rejoin-wasm\"\ntarget = \"web\"\nfeatures = [\"a\"]\n\
        profile = \"wasm\"\noptimise = [\"-Oz\"]\noutput = \"rejoin\"\nbudget_bytes = 1_000\n";

    fn refused(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn a_package_is_read_with_everything_that_builds_it() {
        let expected = Package {
            source: "rejoin-wasm".into(),
            target: Target::Web,
            features: vec!["a".into()],
            profile: "wasm".into(),
            optimise: vec!["-Oz".into()],
            output: "rejoin".into(),
            budget_bytes: Some(1_000),
        };
        assert_eq!(parse(GOOD).unwrap().packages, BTreeMap::from([("rejoin".to_owned(), expected)]));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name_and_line() {
        for wrong in [GOOD.replace("budget_bytes", "budget"), format!("optimize = true\n{GOOD}")] {
            let said = refused(&wrong);
            assert!(said.contains("unknown field") && said.contains("line"), "{said}");
        }
    }

    #[test]
    fn a_missing_key_and_an_unknown_target_are_refused_with_what_is_wanted() {
        let said = refused(&GOOD.replace("profile = \"wasm\"\n", ""));
        assert!(said.contains("missing field `profile`"), "{said}");
        let said = refused(&GOOD.replace("\"web\"", "\"deno\""));
        assert!(said.contains("`web`"), "{said}");
    }

    #[test]
    fn an_output_is_one_folder_below_pkg_of_one_package() {
        for output in ["", ".", "..", "../www", "/", "a/b"] {
            let said = refused(&GOOD.replace("output = \"rejoin\"", &format!("output = \"{output}\"")));
            assert!(said.contains("no name of one folder"), "{output}: {said}");
        }
        let twice = format!("{GOOD}{}", GOOD.replace("package.rejoin", "package.other"));
        assert!(refused(&twice).contains("give each a folder of its own"));
    }

    #[test]
    fn what_only_tests_load_has_no_budget() {
        let packages = parse(&GOOD.replace("budget_bytes = 1_000\n", "")).unwrap().packages;
        assert_eq!(packages["rejoin"].budget_bytes, None);
    }

    #[test]
    fn a_budget_of_nothing_is_refused() {
        assert!(refused(&GOOD.replace("1_000", "0")).contains("0 bytes"));
    }

    #[test]
    fn the_manifest_of_this_workspace_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let manifest = read(&root).unwrap();
        assert!(manifest.packages.contains_key("rejoin") && manifest.npm.contains_key("rejoin"));
    }
}

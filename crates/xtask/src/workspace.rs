//! What cargo knows about this workspace.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Where the workspace is, where it builds and which crates it has.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Whether it is meant for a registry.
    pub(crate) published: bool,
    /// Names of the packages that it depends on outside of tests.
    pub(crate) dependencies: Vec<String>,
}

impl Workspace {
    /// Asks cargo about the workspace around the current directory.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .context("cargo did not start")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::from_metadata(&serde_json::from_slice(&output.stdout)?)
    }

    /// Reads the answer of `cargo metadata --format-version 1`.
    pub(crate) fn from_metadata(metadata: &Value) -> Result<Self> {
        let members =
            metadata["workspace_members"].as_array().context("metadata without workspace_members")?;
        let packages = metadata["packages"].as_array().context("metadata without packages")?;
        Ok(Self {
            root: text(metadata, "workspace_root")?.into(),
            target: text(metadata, "target_directory")?.into(),
            members: packages
                .iter()
                .filter(|package| members.contains(&package["id"]))
                .map(Member::from_package)
                .collect::<Result<_>>()?,
        })
    }

    /// A cargo command that runs at the root of the workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(&self.root);
        command
    }

    pub(crate) fn member(&self, name: &str) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .with_context(|| format!("the workspace has no crate {name}"))
    }

    /// The version of a dependency that the lock file holds.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.root.join("Cargo.lock");
        let lock = std::fs::read_to_string(&path).context("Cargo.lock cannot be read")?;
        version_in_lock(&lock, package).with_context(|| format!("Cargo.lock does not name {package}"))
    }
}

impl Member {
    fn from_package(package: &Value) -> Result<Self> {
        let manifest = PathBuf::from(text(package, "manifest_path")?);
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            folder: manifest.parent().map(Path::to_path_buf).context("a manifest without a folder")?,
            published: package["publish"] != Value::Array(Vec::new()),
            dependencies: package["dependencies"]
                .as_array()
                .context("a package without dependencies")?
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(dependency, "name").map(str::to_owned))
                .collect::<Result<_>>()?,
        })
    }
}

/// The cargo that started this program, so that a build does not change toolchains half-way.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    value[member].as_str().with_context(|| format!("cargo metadata without {member}"))
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_the_packages_of_the_workspace_without_test_dependencies() {
        let workspace = Workspace::from_metadata(&json!({
            "workspace_root": "/here",
            "target_directory": "/here/target",
            "workspace_members": ["path+a", "path+tool"],
            "packages": [
                {"id": "path+a", "name": "a", "manifest_path": "/here/crates/a/Cargo.toml", "publish": null, "dependencies": [
                    {"name": "serde", "kind": null}, {"name": "cc", "kind": "build"}, {"name": "proptest", "kind": "dev"}
                ]},
                {"id": "path+tool", "name": "tool", "manifest_path": "/here/tool/Cargo.toml", "publish": [], "dependencies": []},
                {"id": "registry+serde", "name": "serde", "manifest_path": "/x/Cargo.toml", "dependencies": []}
            ]
        }))
        .unwrap();
        assert_eq!(
            workspace.members,
            [
                Member {
                    name: "a".into(),
                    folder: "/here/crates/a".into(),
                    published: true,
                    dependencies: vec!["serde".into(), "cc".into()],
                },
                Member {
                    name: "tool".into(),
                    folder: "/here/tool".into(),
                    published: false,
                    dependencies: vec![]
                },
            ]
        );
        assert!(workspace.member("serde").is_err());
    }

    #[test]
    fn the_lock_file_tells_the_version_of_a_dependency() {
        let lock = "[[package]]\nname = \"wasm-bindgen-test\"\nversion = \"0.3.80\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(version_in_lock(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(version_in_lock(lock, "wasm"), None);
    }
}

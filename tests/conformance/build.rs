//! Embeds the data, unpacked, as JSON where it was YAML: a test on wasm32 has no files to read.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

/// The folders that some test reads.
const FOLDERS: &[&str] =
    &["json-merge-patch", "json-parsing", "json-patch", "json-pointer", "three-way-merge", "yjs-compat"];

/// Where the data is, seen from the workspace: beside it, since none of it is copied into the repository.
const DATA: &str = "../shared/data";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let workspace = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let data = workspace.join(DATA);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", data.display());
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut source = String::from("&[\n");
    let mut missing = Vec::new();
    for folder in FOLDERS {
        let from = data.join(folder);
        if from.is_dir() {
            let to = out.join(folder);
            unpack(&from, &to)?;
            embed(folder, &to, &mut source)?;
        } else {
            writeln!(source, "({folder:?}, None),")?;
            missing.push(*folder);
        }
    }
    source.push_str("]\n");
    if !missing.is_empty() {
        // A test that passes is not heard.
        println!(
            "cargo::warning={} of {} data sets are not in {DATA}, and their tests check nothing: {}",
            missing.len(),
            FOLDERS.len(),
            missing.join(", ")
        );
    }
    fs::write(out.join("folders.rs"), source)?;
    Ok(())
}

/// Makes `to` hold what `from` holds.
fn unpack(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        if name.ends_with(".tar.gz") {
            tar::Archive::new(GzDecoder::new(File::open(&path)?)).unpack(to)?;
        } else if let Some(stem) = name.strip_suffix(".gz") {
            io::copy(&mut GzDecoder::new(File::open(&path)?), &mut File::create(to.join(stem))?)?;
        } else if let Some(stem) = name.strip_suffix(".yaml") {
            let documents = YamlLoader::load_from_str(&fs::read_to_string(&path)?)?;
            let json = to_json(documents.first().ok_or("a YAML file is empty")?)?;
            fs::write(to.join(format!("{stem}.json")), json.to_string())?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn to_json(yaml: &Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => Value::from(*value),
        Yaml::Integer(value) => Value::from(*value),
        Yaml::Real(digits) => Value::from(digits.parse::<f64>()?),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Array(items) => items.iter().map(to_json).collect::<Result<_>>()?,
        Yaml::Hash(members) => members
            .iter()
            .map(|(key, value)| Ok((key.as_str().ok_or("a key is no string")?.to_owned(), to_json(value)?)))
            .collect::<Result<_>>()?,
        Yaml::Alias(_) | Yaml::BadValue => return Err("YAML without a JSON form".into()),
    })
}

/// Writes the files below a folder as one entry of the list of folders.
fn embed(name: &str, folder: &Path, source: &mut String) -> Result<()> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort();
    writeln!(source, "({name:?}, Some(&[")?;
    for (name, path) in files {
        let path = path.display().to_string();
        writeln!(source, "    File {{ name: {name:?}, bytes: include_bytes!({path:?}) }},")?;
    }
    source.push_str("])),\n");
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let name =
                path.strip_prefix(root)?.to_str().ok_or("a file name is not UTF-8")?.replace('\\', "/");
            files.push((name, path));
        }
    }
    Ok(())
}

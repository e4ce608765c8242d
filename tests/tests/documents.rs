//! The documents beside the code say what the code says: programs, defaults, links and commands in them are true. The
//! settings page is rendered whole, by `generated.rs`.

use std::path::{Path, PathBuf};

use bartizan::settings::TABLE;

#[test]
fn programs_in_the_readme_are_stretches_of_the_examples() {
    let readme = read("README.md");
    let shown = [
        ("c", "c/hello.c"),
        ("cpp", "cpp/hello.cpp"),
        ("python", "python/hello.py"),
        ("rust", "rust/hello.rs"),
    ];
    for (language, file) in shown {
        let programs = blocks(&readme, language);
        let [program] = programs[..] else {
            panic!("the README shows {} servers in {language}", programs.len())
        };
        let example = read(&format!("examples/{file}"));
        assert!(program.lines().count() >= 10, "the README shows too little of examples/{file}");
        assert!(example.contains(program), "examples/{file} does not hold what the README shows:\n{program}");
    }
}

#[test]
fn defaults_in_the_readme_are_those_of_the_list() {
    let readme = read("README.md");
    let words: Vec<_> = blocks(&readme, "text").into_iter().flat_map(str::split_whitespace).collect();
    let mut named = 0;
    for pair in words.windows(2) {
        let Some(row) = TABLE.iter().find(|row| row.key == pair[0]) else { continue };
        assert_eq!(pair[1].trim_end_matches(','), row.render(row.default_value), "{}", row.key);
        named += 1;
    }
    assert!(named > 15, "the picture in the README names {named} settings");
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        // Programs between fences have lambdas, which look like links.
        let text: String = read(&document).split("```").step_by(2).collect();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let outside = link.contains("://") || path.is_empty();
            let target = root().join(&document).parent().map(|folder| folder.join(path));
            assert!(outside || target.is_some_and(|target| target.exists()), "{document} links to {link}");
        }
    }
}

#[test]
fn commands_in_the_documents_are_targets_of_the_makefile() {
    let makefile = read("Makefile");
    for document in documents() {
        let text = read(&document);
        for command in text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()) {
            assert!(makefile.contains(&format!("\n{command}:")), "{document} names make {command}");
        }
    }
}

/// Every page that a person reads, by its path.
fn documents() -> Vec<String> {
    let examples = entries("examples").into_iter().filter(|path| root().join(path).is_dir());
    let folders = [String::new(), "docs".to_string()].into_iter().chain(examples);
    let pages: Vec<_> =
        folders.flat_map(|folder| entries(&folder)).filter(|path| path.ends_with(".md")).collect();
    for known in ["README.md", "docs/performance.md", "examples/go/README.md"] {
        assert!(pages.iter().any(|page| page == known), "{known} is not among {pages:?}");
    }
    pages
}

/// What lies in a folder, by its path.
fn entries(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") }).collect()
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

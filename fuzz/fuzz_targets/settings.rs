//! A row's value in its text form: whatever it says, it is an error that names the row or a value that reads back. And keys: one
//! that somebody misspelt is an error as well.
#![no_main]

use bartizan::settings::{Settings, TABLE};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut settings = Settings::default();
    // Looking for the nearest key takes a hundred times as long as all else.
    if *choice == u8::MAX {
        assert!(settings.set_text(text, "-").is_err());
        return;
    }
    let row = &TABLE[usize::from(*choice) % TABLE.len()];
    match settings.set_text(row.key, text) {
        Ok(()) => {
            let value = settings.get(row.key).expect("a row of the table");
            let rendered = settings.get_text(row.key).expect("a row of the table");
            assert_eq!(row.parse(&rendered).ok(), Some(value));
            assert_eq!(row.check(value).ok(), Some(value));
        }
        Err(error) => {
            assert!(error.to_string().contains(row.key));
            assert_eq!(settings, Settings::default());
        }
    }
});

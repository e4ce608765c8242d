pub(crate) fn render(_: &crate::server::Shared) -> String { String::new() }

//! Turns `sovereign/v1/*.proto` into message types, one `Call` per method of the service block, and the
//! `for_each_request!` table. protox stands in for protoc, so nothing has to be installed.

use std::{env, fmt::Write as _, fs, io, path::Path};

use prost_build::{Config, Service, ServiceGenerator};

const FILES: [&str; 11] = [
    "account",
    "content",
    "envelope",
    "group",
    "key_package",
    "message",
    "operator",
    "presence",
    "receipt",
    "relation",
    "session",
];

fn main() -> io::Result<()> {
    let paths: Vec<String> = FILES.iter().chain(&["service"]).map(|name| format!("sovereign/v1/{name}.proto")).collect();
    for path in &paths {
        println!("cargo:rerun-if-changed={path}");
    }
    let descriptors = protox::compile(&paths, ["."]).map_err(io::Error::other)?;
    Config::new()
        .bytes([".sovereign.v1"])
        // No message can be printed, so none can be logged by accident. What is no secret may.
        .skip_debug([".sovereign.v1"])
        .type_attribute(".sovereign.v1.FailureCode", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.RegistrationMode", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.DeviceState", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.AccountState", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.SkippedReason", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.PresenceState", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.Revival", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.Relation", "#[derive(Debug)]")
        .type_attribute(".sovereign.v1.RelationChange", "#[derive(Debug)]")
        .service_generator(Box::new(Calls))
        .compile_fds(descriptors)?;
    // The generated file is checked in nowhere: it is made from the .proto files at every build.
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::metadata(Path::new(&out).join("sovereign.v1.rs")).map(|_| ())
}

/// Writes `impl Call for FooRequest` for each method, and the macro that lists them all.
struct Calls;

impl ServiceGenerator for Calls {
    fn generate(&mut self, service: Service, code: &mut String) {
        let mut table = String::new();
        let mut names = String::new();
        for (index, method) in service.methods.iter().enumerate() {
            let (name, request, response) = (&method.proto_name, &method.input_type, &method.output_type);
            writeln!(
                code,
                "impl crate::Call for {request} {{\n    \
                     const NAME: &'static str = \"{name}\";\n    \
                     const INDEX: usize = {index};\n    \
                     type Response = {response};\n    \
                     fn into_body(self) -> request::Body {{ request::Body::{name}(self) }}\n    \
                     fn from_body(body: response::Body) -> Option<Self::Response> {{\n        \
                         match body {{ response::Body::{name}(response) => Some(response), _ => None }}\n    \
                     }}\n}}"
            )
            .expect("a String takes every write");
            write!(table, "({name}, {request}, {response})").expect("a String takes every write");
            write!(names, "\"{name}\", ").expect("a String takes every write");
        }
        writeln!(
            code,
            "/// The names of all requests, in the order of the service block.\n\
             pub const REQUEST_NAMES: &[&str] = &[{names}];\n\
             /// Calls `$table!` with one `(Name, NameRequest, NameResponse)` for every method of the service block.\n\
             #[macro_export]\n\
             macro_rules! for_each_request {{ ($table:ident) => {{ $table! {{ {table} }} }}; }}"
        )
        .expect("a String takes every write");
    }
}

//! One valid frame for every request of the service block, made from its descriptor: a request that is added tomorrow has
//! a frame here without anybody's doing.

use std::path::Path;

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::{
    DescriptorProto, FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use sovereign_proto::v1::REQUEST_NAMES;

/// Messages within messages within a request, at most.
const DEPTH_MAX: usize = 8;

/// The name of every request and a frame of it, every field set.
#[must_use]
pub fn frames() -> Vec<(String, Vec<u8>)> {
    let messages = messages();
    let request = find(&messages, "Request");
    let frame = |name: &&str| {
        let wanted = format!(".sovereign.v1.{name}Request");
        let field = request.field.iter().find(|field| field.type_name() == wanted).expect("every request is of the oneof");
        let mut body = Vec::new();
        write(&messages, field, &mut body, 0);
        let mut frame = Vec::new();
        encode_key(1, WireType::Varint, &mut frame);
        encode_varint(7, &mut frame);
        delimited(2, &body, &mut frame);
        ((*name).to_owned(), frame)
    };
    REQUEST_NAMES.iter().map(frame).collect()
}

fn messages() -> Vec<DescriptorProto> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let set =
        protox::compile(["sovereign/v1/envelope.proto", "sovereign/v1/service.proto"], [proto]).expect("the contract compiles");
    set.file.into_iter().flat_map(|file| file.message_type).collect()
}

fn find<'a>(messages: &'a [DescriptorProto], name: &str) -> &'a DescriptorProto {
    messages.iter().find(|message| message.name() == name).expect("the contract names only its own messages")
}

/// A field with a value of its type; two where it repeats.
fn write(messages: &[DescriptorProto], field: &FieldDescriptorProto, out: &mut Vec<u8>, depth: usize) {
    let tag = u32::try_from(field.number()).expect("a field has a number");
    for _ in 0..if field.label() == Label::Repeated { 2 } else { 1 } {
        match field.r#type() {
            Type::Message if depth < DEPTH_MAX => {
                let name = field.type_name().rsplit('.').next().unwrap_or_default();
                let mut inner = Vec::new();
                for field in &find(messages, name).field {
                    // Of a oneof the last one counts; all of them together are one frame of many.
                    write(messages, field, &mut inner, depth + 1);
                }
                delimited(tag, &inner, out);
            }
            Type::Message => delimited(tag, &[], out),
            Type::String => delimited(tag, b"ada", out),
            Type::Bytes => {
                let group = field.name() == "group_id" || field.name().ends_with("_key") || field.name().ends_with("hash");
                delimited(tag, if group { &[0x5e; 32] } else { &[1; 16] }, out);
            }
            _ => {
                encode_key(tag, WireType::Varint, out);
                encode_varint(1, out);
            }
        }
    }
}

fn delimited(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

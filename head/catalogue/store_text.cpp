// discs.json as text: pure, so that it can be tested without a disk.
#include "head/base/json_text.hpp"
#include "head/catalogue/store.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace head::catalogue {

namespace {

using nlohmann::json;

constexpr std::string_view format_name = "headstart discs";
constexpr int version = 1;
constexpr std::size_t depth_max = 8;

Result<StoredDiscs, std::string> parse_discs(const json& list) {
  StoredDiscs discs;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto spec = spec_from_json(list[i]);
    if (!spec) return Failure{fmt::format("entry {} is wrong: {}", i + 1, spec.error())};
    if (!discs.emplace(spec->name, StoredDisc{.spec = *spec}).second)
      return Failure{fmt::format("disc {} is in it twice", spec->name)};
  }
  return discs;
}

json to_json(const DiscSpec& spec, const nbd::ExportInfo& shape) {
  return {{"name", spec.name},
          {"uri", nbd::to_string(spec.uri)},
          {"size", shape.size},
          {"flags", shape.flags},
          {"block_minimum", shape.block_minimum},
          {"block_preferred", shape.block_preferred},
          {"payload_maximum", shape.payload_maximum},
          {"structured_replies", shape.structured_replies},
          {"base_allocation", shape.base_allocation}};
}

json proof_of(const StoredDisc& disc) {
  json proof = {{"name", disc.spec.name},
                {"uri", nbd::to_string(disc.spec.uri)},
                {"generation", disc.spec.generation},
                {"proven_lladdr", netlink::to_string(*disc.proven)}};
  if (disc.spec.lladdr) proof["lladdr"] = netlink::to_string(*disc.spec.lladdr);
  return proof;
}

template <class Number>
bool read(Number& into, const json& from, const char* member) {
  const auto at = from.find(member);
  if (at == from.end() || !at->is_number_unsigned()) return false;
  const auto value = at->get<std::uint64_t>();
  into = static_cast<Number>(value);
  return into == value;
}

bool read(bool& into, const json& from, const char* member) {
  const auto at = from.find(member);
  if (at == from.end() || !at->is_boolean()) return false;
  into = at->get<bool>();
  return true;
}

std::string text_of(const json& from, const char* member) {
  const auto at = from.find(member);
  return at != from.end() && at->is_string() ? at->get<std::string>() : std::string();
}

bool parse_shape(const json& from, nbd::ExportInfo& shape) {
  return read(shape.size, from, "size") && read(shape.flags, from, "flags") &&
         read(shape.block_minimum, from, "block_minimum") &&
         read(shape.block_preferred, from, "block_preferred") &&
         read(shape.payload_maximum, from, "payload_maximum") &&
         read(shape.structured_replies, from, "structured_replies") &&
         read(shape.base_allocation, from, "base_allocation");
}

// Each goes to its disc; what is of another disc than those there are, or of one that is elsewhere
// now, is of no use. What is wrong with it, or nothing.
std::string take_shapes(StoredDiscs& discs, const json& list) {
  if (!list.is_array()) return "its \"shapes\" are no list";
  for (std::size_t i = 0; i < list.size(); ++i) {
    nbd::ExportInfo shape;
    if (!list[i].is_object() || !parse_shape(list[i], shape))
      return fmt::format("shape {} is wrong; headd writes it anew if it is left out", i + 1);
    // Remembered only to be quick: what no disc can be is passed over.
    if (!nbd::block_sizes_are_sound(shape) || !nbd::size_is_sound(shape)) continue;
    const auto disc = discs.find(text_of(list[i], "name"));
    if (disc == discs.end()) continue;
    const auto uri = nbd::parse_uri(text_of(list[i], "uri"));
    if (!uri || *uri != disc->second.spec.uri) continue;
    disc->second.shape = shape;
  }
  return {};
}

// The same. One that is damaged says nothing: its disc is asked to prove itself again.
void take_proofs(StoredDiscs& discs, const json& list) {
  if (!list.is_array()) return;
  for (const json& proof : list) {
    if (!proof.is_object()) continue;
    const auto disc = discs.find(text_of(proof, "name"));
    const auto uri = nbd::parse_uri(text_of(proof, "uri"));
    Told told{.lladdr = netlink::parse_mac(text_of(proof, "lladdr"))};
    if (disc == discs.end() || !read(told.generation, proof, "generation")) continue;
    const DiscSpec& spec = disc->second.spec;
    if (uri && *uri == spec.uri && told == told_of(spec))
      disc->second.proven = netlink::parse_mac(text_of(proof, "proven_lladdr"));
  }
}

}  // namespace

std::string to_text(const StoredDiscs& discs) {
  // One disc a line: people compare such files, and tools that merge them work by lines.
  std::string text =
      fmt::format("{{\"format\": \"{}\", \"version\": {}, \"discs\": [", format_name, version);
  const char* separator = "\n";
  for (const auto& [name, disc] : discs) {
    text += separator;
    text += to_json(disc.spec).dump();
    separator = ",\n";
  }
  // Apart from what people write, and passed over by a headd that does not know of it.
  separator = "\n], \"shapes\": [\n";
  for (const auto& [name, disc] : discs) {
    if (!disc.shape) continue;
    text += separator;
    text += to_json(disc.spec, *disc.shape).dump();
    separator = ",\n";
  }
  separator = "\n], \"proofs\": [\n";
  for (const auto& [name, disc] : discs) {
    if (!disc.proven) continue;
    text += separator;
    text += proof_of(disc).dump();
    separator = ",\n";
  }
  text += "\n]}\n";
  return text;
}

Result<StoredDiscs, std::string> parse_text(std::string_view text) {
  if (!is_shallow_json(text, depth_max)) return Failure{std::string("it is nested too deeply")};
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    return Failure{fmt::format("it is cut off or damaged at byte {}", error.byte)};
  }
  if (!document.is_object() || document.value("format", json()) != format_name)
    return Failure{fmt::format("it does not say that its format is \"{}\"", format_name)};
  const json& said = document["version"];
  if (!said.is_number_integer()) return Failure{std::string("it has no version")};
  if (said != version)
    return Failure{
        fmt::format("it is of version {} and this headd knows version {}", said.dump(), version)};
  const json& list = document["discs"];
  if (!list.is_array()) return Failure{std::string("it has no list of discs")};
  const auto parsed = parse_discs(list);
  if (!parsed) return parsed;
  StoredDiscs discs = *parsed;
  if (const auto proofs = document.find("proofs"); proofs != document.end())
    take_proofs(discs, *proofs);
  const auto shapes = document.find("shapes");
  if (shapes == document.end()) return discs;
  std::string problem = take_shapes(discs, *shapes);
  if (!problem.empty()) return Failure{std::move(problem)};
  return discs;
}

}  // namespace head::catalogue

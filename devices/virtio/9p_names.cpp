#include "devices/virtio/9p_names.h"

#include <vector>

namespace arclight::devices::virtio::p9 {

namespace {
// A node, and its entry among its parent's children.
constexpr size_t kNodeBytes = 256;
size_t footprint_of(std::string_view name) { return kNodeBytes + 2 * name.size(); }
}  // namespace

NameTree::NameTree() { root_.holders = 1; }
NameTree::~NameTree() = default;

NameTree::Name NameTree::root() { return {this, &root_}; }

NameTree::Name::~Name() {
    if (node_ != nullptr) tree_->release(node_);
}

void NameTree::Name::hold() {
    if (node_ != nullptr) ++node_->holders;
}

bool NameTree::Name::is_root() const { return node_ == &tree_->root_; }

std::optional<std::string> NameTree::Name::path() const {
    std::vector<const Node*> parts;
    size_t length = 0;
    for (const Node* node = node_; node != &tree_->root_; node = node->parent) {
        if (node->removed) return {};
        parts.push_back(node);
        length += node->name.size() + 1;
    }
    std::string path;
    path.reserve(length);
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (!path.empty()) path += '/';
        path += (*part)->name;
    }
    return path;
}

NameTree::Name NameTree::Name::child(std::string_view name) const {
    const auto found = node_->children.find(name);
    if (found != node_->children.end()) return {tree_, found->second};
    auto* const node = new Node{.parent = node_, .name = std::string(name), .children = {}};
    node_->children.emplace(node->name, node);
    ++node_->holders;
    tree_->footprint_ += footprint_of(name);
    return {tree_, node};
}

std::optional<std::string> NameTree::Name::last() const {
    if (is_root() || node_->removed) return {};
    return node_->name;
}

NameTree::Name NameTree::Name::parent() const {
    return node_->parent == nullptr ? *this : Name(tree_, node_->parent);
}

// Upwards as long as nobody holds the parent any more; not recursive, since a guest says how deep the tree is.
void NameTree::release(Node* node) {
    while (node != nullptr && --node->holders == 0) {
        Node* const parent = node->parent;
        if (parent != nullptr && !node->removed) parent->children.erase(node->name);
        footprint_ -= footprint_of(node->name);
        delete node;
        node = parent;
    }
}

// The node stays for its holders, and holds its former parent, so that parent() of a removed name is something.
void NameTree::detach(Node* node) {
    node->parent->children.erase(node->name);
    node->removed = true;
}

void NameTree::removed(const Name& parent, std::string_view name) {
    const auto found = parent.node_->children.find(name);
    if (found != parent.node_->children.end()) detach(found->second);
}

void NameTree::renamed(const Name& from_parent, std::string_view from, const Name& to_parent,
                       std::string_view to) {
    if (from_parent == to_parent && from == to) return;
    removed(to_parent, to);
    const auto found = from_parent.node_->children.find(from);
    if (found == from_parent.node_->children.end()) return;
    Node* const node = found->second;
    // Others may move directories on the host between two looks at it; here no directory comes to lie in itself.
    for (const Node* above = to_parent.node_; above != nullptr; above = above->parent)
        if (above == node) return detach(node);
    from_parent.node_->children.erase(found);
    footprint_ -= footprint_of(node->name);
    node->name = to;
    footprint_ += footprint_of(node->name);
    Node* const before = node->parent;
    node->parent = to_parent.node_;
    ++to_parent.node_->holders;
    to_parent.node_->children.emplace(node->name, node);
    release(before);
}

}  // namespace arclight::devices::virtio::p9

// The names that fids stand for, as a tree: a rename of a directory moves everything below it at once.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace arclight::devices::virtio::p9 {

class NameTree {
    struct Node;

  public:
    /// One name, which stays the same file's when that is renamed through this tree. Holds its node.
    class Name {
      public:
        Name() = default;
        Name(const Name& other) : tree_(other.tree_), node_(other.node_) { hold(); }
        Name(Name&& other) noexcept
            : tree_(std::exchange(other.tree_, nullptr)), node_(std::exchange(other.node_, nullptr)) {}
        Name& operator=(Name other) noexcept {
            std::swap(tree_, other.tree_);
            std::swap(node_, other.node_);
            return *this;
        }
        ~Name();
        bool operator==(const Name& other) const { return node_ == other.node_; }

        bool is_root() const;
        /// As Folder::place() takes it; nothing if the name was removed, or one above it.
        std::optional<std::string> path() const;
        Name child(std::string_view name) const;
        /// In its directory; nothing for the root and for what was removed.
        std::optional<std::string> last() const;
        /// The root's is itself.
        Name parent() const;

      private:
        friend class NameTree;
        Name(NameTree* tree, Node* node) : tree_(tree), node_(node) { hold(); }
        void hold();
        NameTree* tree_ = nullptr;
        Node* node_ = nullptr;
    };

    NameTree();
    ~NameTree();
    NameTree(const NameTree&) = delete;
    NameTree& operator=(const NameTree&) = delete;

    Name root();
    /// The host has removed the file.
    void removed(const Name& parent, std::string_view name);
    /// The host has renamed it; what had the new name is gone.
    void renamed(const Name& from_parent, std::string_view from, const Name& to_parent, std::string_view to);
    /// Bytes that the nodes take, about.
    size_t footprint() const { return footprint_; }

  private:
    struct Node {
        Node* parent = nullptr;  ///< null: the root, or removed
        std::string name;
        size_t holders = 0;  ///< names and children
        bool removed = false;
        std::map<std::string, Node*, std::less<>> children;
    };
    void release(Node* node);
    void detach(Node* node);

    Node root_;
    size_t footprint_ = 0;
};

}  // namespace arclight::devices::virtio::p9

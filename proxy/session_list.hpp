// A list whose members carry their own links: adding and removing is free of charge for a session in every transaction.
#pragma once

namespace turnout::proxy {

template <class T>
class LinkedList;

/// What a member derives from. Out of the list by the time it goes.
template <class T>
class Linked {
  public:
    bool linked() const { return linked_; }

  private:
    friend class LinkedList<T>;
    T* previous_ = nullptr;
    T* next_ = nullptr;
    bool linked_ = false;
};

/// Members in no particular order; owns none. One thread.
template <class T>
class LinkedList {
  public:
    /// No effect on one that is in it.
    void add(T& member) {
        Linked<T>& links = member;
        if (links.linked_) return;
        links.linked_ = true;
        links.previous_ = nullptr;
        links.next_ = first_;
        if (first_ != nullptr) static_cast<Linked<T>*>(first_)->previous_ = &member;
        first_ = &member;
    }
    /// No effect on one that is not in it.
    void remove(T& member) {
        Linked<T>& links = member;
        if (!links.linked_) return;
        if (links.next_ != nullptr) static_cast<Linked<T>*>(links.next_)->previous_ = links.previous_;
        T*& from = links.previous_ != nullptr ? static_cast<Linked<T>*>(links.previous_)->next_ : first_;
        from = links.next_;
        links.linked_ = false;
        links.previous_ = links.next_ = nullptr;
    }
    /// `visit` may remove the member that it is given, and no other.
    template <class F>
    void for_each(F visit) {
        for (T* member = first_; member != nullptr;) {
            T* next = static_cast<Linked<T>*>(member)->next_;
            visit(*member);
            member = next;
        }
    }

  private:
    T* first_ = nullptr;
};

}  // namespace turnout::proxy

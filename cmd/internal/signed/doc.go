// Package signed joins policies and grants with the signatures that make them count: what security administrators sign
// about a policy, whose keys a configuration names, which serial numbers were seen before, and which officers signed which
// grant. The proxy's command, the commands policy, grant and check, and the demo share it.
//
// A Governor decides what comes into force. It keeps what must outlive a restart in one file, and hands out facts for the
// audit log; it promises that nothing whose signatures do not suffice, that is older than what was in force, or that has
// run out is part of the policy it makes.
package signed

"""What stands around every action: who speaks, what the policy asks for, proof bound to the act, one effect in one transaction."""

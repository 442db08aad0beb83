import { testContract } from "./contract.ts";
import { sqliteForm } from "./sqlite_form.ts";

testContract(sqliteForm);

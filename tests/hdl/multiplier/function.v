// In place of a multiplier of 27 x 18 bits, for proofs: a function that has another value for any other operands, which
// come extended or not. What holds with it holds with every function of the operands.
(* techmap_celltype = "$mul" *)
module function_of_operands #(
    parameter A_SIGNED = 0, parameter B_SIGNED = 0, parameter A_WIDTH = 1, parameter B_WIDTH = 1, parameter Y_WIDTH = 1
) (input [A_WIDTH-1:0] A, input [B_WIDTH-1:0] B, output [Y_WIDTH-1:0] Y);
    assign Y = {A[26:0], B[17:0]};
endmodule
